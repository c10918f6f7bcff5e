/**
 * What every bundle of waxseal has in common; scripts/build.mjs and the terminal tests build with it, so that the tests
 * run what is shipped. Add `entryPoints`, `outdir` and whatever else belongs to one bundle only.
 *
 * @module
 */

// Ink loads React's developer tools when DEV=true is in the environment: a static import that cannot be resolved in a
// bundle (ink #571), or an ENOENT at start. Only a bundle whose Ink cannot ask is safe from the caller's environment.
const STUBS = new Map([
  ['./devtools.js', 'export {};'],
  ['./utils.js', 'export const isDev = () => false;'],
]);

/** Replaces Ink's own devtools switch by one that is always off. Fails the build when Ink no longer has it. */
const withoutInkDevtools = {
  name: 'without-ink-devtools',
  setup(build) {
    const met = new Set();
    let inkSeen = false;
    build.onStart(() => {
      met.clear();
      inkSeen = false;
    });
    build.onLoad({filter: /[/\\]ink[/\\]build[/\\]reconciler\.js$/}, () => {
      inkSeen = true;
      return undefined;
    });
    build.onResolve({filter: /^\.\/(?:devtools|utils)\.js$/}, args => {
      if (!/[/\\]node_modules[/\\]ink[/\\]build$/.test(args.resolveDir)) return undefined;
      met.add(args.path);
      return {path: args.path, namespace: 'ink-stub'};
    });
    build.onLoad({filter: /.*/, namespace: 'ink-stub'}, args => ({
      contents: STUBS.get(args.path),
      loader: 'js',
    }));
    build.onEnd(() => {
      const missing = inkSeen ? [...STUBS.keys()].filter(path => !met.has(path)) : [];
      return missing.length === 0
        ? undefined
        : {
            errors: [
              {text: `Ink has no ${missing.join(', ')} any more: look again at scripts/esbuild-options.mjs`},
            ],
          };
    });
  },
};

/** @type {import('esbuild').BuildOptions} */
export const esbuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  format: 'esm',
  // Ink and Yoga await at the top level, so the output must be ESM; splitting keeps them out of `--version`.
  splitting: true,
  jsx: 'automatic',
  // A root tool is read by those who run it: names stay, and nothing is minified. The maps are for the traces in a
  // report (`node --enable-source-maps`); they need lines of the source, not the source itself.
  keepNames: true,
  minify: false,
  sourcemap: 'linked',
  sourcesContent: false,
  legalComments: 'linked',
  chunkNames: 'chunks/[name]-[hash]',
  // React's development build takes 2.5 times the CPU and keeps a measure object for every render for ever.
  define: {'process.env.NODE_ENV': '"production"'},
  // CommonJS dependencies call require() for Node's own modules; an ES module has none.
  banner: {
    js: "import {createRequire as waxsealCreateRequire} from 'node:module';\nconst require = waxsealCreateRequire(import.meta.url);",
  },
  plugins: [withoutInkDevtools],
  logLevel: 'warning',
};
