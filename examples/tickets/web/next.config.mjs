/** @type {import('next').NextConfig} */
export default {
  poweredByHeader: false,
  outputFileTracingRoot: import.meta.dirname ?? new URL('.', import.meta.url).pathname,
};
