import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { expect, it } from 'vitest'

const SOURCES = join(dirname(fileURLToPath(import.meta.url)), '..')
const CATALOGUE = join(SOURCES, 'texts', 'en.ts')

/** Names every text that no component asks for, neither by its name nor by way of the group that it stands in. */
function unused(): string[] {
  // Nothing but our own modules: whatever a package or a browser declares has no texts in it.
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    jsx: ts.JsxEmit.ReactJSX,
    noLib: true,
  }
  const host = ts.createCompilerHost(options)
  host.resolveModuleNameLiterals = (names, from) =>
    names.map(({ text }) => {
      const path = text.startsWith('.') ? join(dirname(from), text) : ''
      const found = ['.ts', '.tsx', '/index.ts']
        .map((end) => path + end)
        .find((each) => path && host.fileExists(each))
      return {
        resolvedModule: found
          ? { resolvedFileName: found, extension: found.slice(found.lastIndexOf('.')) }
          : undefined,
      }
    })
  const files = ts.sys.readDirectory(SOURCES, ['.ts', '.tsx'], ['**/*.test.ts'])
  const program = ts.createProgram(files, { ...options, types: [] }, host)
  const checker = program.getTypeChecker()
  const asked = new Set<ts.Node>()

  function ask(name: ts.Node): void {
    const symbol = checker.getSymbolAtLocation(name)
    for (const declaration of symbol?.declarations ?? [])
      if (declaration.getSourceFile().fileName === CATALOGUE) asked.add(declaration)
  }

  /** A group that isn't only a step on the way to one of its texts: any of them may be meant. */
  function askWhole(group: ts.Expression): void {
    for (const property of checker.getTypeAtLocation(group).getProperties())
      for (const declaration of property.declarations ?? [])
        if (declaration.getSourceFile().fileName === CATALOGUE) asked.add(declaration)
  }

  function look(node: ts.Node): void {
    if (ts.isPropertyAccessExpression(node)) {
      ask(node.name)
      const isStep = ts.isPropertyAccessExpression(node.parent) && node.parent.expression === node
      const isTaken = ts.isVariableDeclaration(node.parent)
      if (!isStep && !isTaken) askWhole(node)
    } else if (ts.isBindingElement(node) && ts.isVariableDeclaration(node.parent.parent)) {
      const from = node.parent.parent.initializer
      const name = (node.propertyName ?? node.name).getText()
      const property = from && checker.getTypeAtLocation(from).getProperty(name)
      for (const declaration of property?.declarations ?? []) asked.add(declaration)
    }
    ts.forEachChild(node, look)
  }

  for (const file of program.getSourceFiles())
    if (file.fileName.startsWith(SOURCES) && file.fileName !== CATALOGUE) look(file)

  const left: string[] = []
  function weed(node: ts.Node, path: readonly string[]): void {
    if (ts.isPropertyAssignment(node)) {
      const here = [...path, node.name.getText()]
      if (!asked.has(node)) left.push(here.join('.'))
      else if (ts.isObjectLiteralExpression(node.initializer))
        for (const each of node.initializer.properties) weed(each, here)
      return
    }
    ts.forEachChild(node, (child) => weed(child, path))
  }
  const catalogue = program.getSourceFile(CATALOGUE)
  if (!catalogue) throw new Error(`There is no ${CATALOGUE}.`)
  weed(catalogue, [])
  return left
}

it('no text is there that nobody reads', { timeout: 30_000 }, () => {
  expect(unused()).toEqual([])
})
