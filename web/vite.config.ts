import { defineConfig } from 'vite'

// Fixed names and no pictures inside the style sheet: what is built is checked
// in, and the admin listener's policy allows nothing but files of its own.
export default defineConfig({
  base: './',
  build: {
    outDir: '../cmd/internal/admin/dashboard/files',
    emptyOutDir: true,
    // Whose work is in the script, and on which terms.
    license: { fileName: 'licenses.md' },
    assetsInlineLimit: 0,
    modulePreload: false,
    target: 'es2022',
    rollupOptions: {
      output: {
        entryFileNames: 'app.js',
        assetFileNames: 'app[extname]',
      },
    },
  },
  server: {
    // The listener of a node, for working on the page.
    proxy: { '/api': process.env.PORTICO_ADMIN ?? 'http://127.0.0.1:9180' },
  },
})
