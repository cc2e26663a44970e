import './styles'
import { MantineProvider } from '@mantine/core'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { setNonce } from 'get-nonce'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { Router } from 'wouter'
import { App } from './App'
import { ApiError } from './api/client'
import { base } from './api/prefix'
import { session } from './session/session'
import { Boundary } from './shell/Boundary'
import { reloadAfterUpdates } from './shell/updates'
import { Toasts } from './show/toast'
import { theme, variables } from './theme'

// The service made it for this one answer; style sheets that come later carry it, and no others are taken.
const nonce = document.querySelector<HTMLMetaElement>('meta[property=csp-nonce]')?.nonce ?? ''
setNonce(nonce)

const MOST_TRIES = 3

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 20_000,
      retry: (failures, error) =>
        failures < MOST_TRIES && (!(error instanceof ApiError) || error.status === 0 || error.status >= 500),
    },
  },
})

// Nobody sees what somebody else has loaded.
session.whenOver(() => queries.clear())

reloadAfterUpdates()

const root = document.getElementById('root')
if (root) {
  createRoot(root).render(
    <StrictMode>
      <MantineProvider
        theme={theme}
        cssVariablesResolver={variables}
        defaultColorScheme="auto"
        getStyleNonce={() => nonce}
      >
        <QueryClientProvider client={queries}>
          <Toasts />
          <Boundary>
            <Router base={base}>
              <App />
            </Router>
          </Boundary>
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  )
}
