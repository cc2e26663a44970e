// Before the first paint: whoever has chosen light or dark sees nothing else. Mantine keeps the choice here.
try {
  const chosen = localStorage.getItem('mantine-color-scheme-value')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.mantineColorScheme = chosen
} catch {
  // Without storage it is as the system has it.
}
