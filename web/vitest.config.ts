import { defineConfig } from 'vitest/config'

// The tests in a browser follow one another on one edge: after the first that
// fails the others say nothing more.
export default defineConfig({
  test: { testTimeout: 180_000, bail: 1, fileParallelism: false },
})
