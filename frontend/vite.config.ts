/// <reference types="vitest/config" />
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

const FOLDER = '../backend/src/music_downloader/static'
const WORTH_PACKING = /\.(js|css|svg|webmanifest|txt)$/
const LEAST_BYTES = 512

/** Packs every file once, at the build, so that a NAS doesn't at every request. */
function packed(): Plugin {
  return {
    name: 'packed',
    apply: 'build',
    closeBundle() {
      for (const name of readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })) {
        if (!WORTH_PACKING.test(name)) continue
        const path = join(FOLDER, name)
        const content = readFileSync(path)
        if (content.length < LEAST_BYTES) continue
        writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }))
        const quality = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY }
        writeFileSync(`${path}.br`, brotliCompressSync(content, { params: quality }))
      }
    },
  }
}

export default defineConfig({
  base: './', // whatever prefix the service is served at
  plugins: [react(), packed()],
  html: { cspNonce: '__NONCE__' },
  build: {
    outDir: FOLDER,
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0, // the policy allows no data: addresses
    reportCompressedSize: false,
    license: { fileName: 'licences.txt' },
  },
  server: {
    proxy: {
      '/api': 'http://127.0.0.1:8000',
      '/auth': 'http://127.0.0.1:8000',
      '/health': 'http://127.0.0.1:8000',
    },
  },
  test: { environment: 'node', pool: 'threads', include: ['src/**/*.test.ts'] },
})
