/**
 * Who may import whom. Types count as imports, since they are how two concepts first get tied to each other.
 */

/** Each folder of the engine may import from the folders before it, and from the root files. */
const ENGINE_FOLDERS = ['bytes', 'crypto', 'entry', 'access', 'log', 'documents', 'protocol', 'session']

/** Files beside the folders that any of them may import; they import no folder. */
const ENGINE_ROOT_FILES = '(errors|limits|refusal)\\.ts$'

const source = name => `^packages/${name}/src/`

const engineFolders = ENGINE_FOLDERS.map((folder, index) => {
  const allowed = ENGINE_FOLDERS.slice(0, index + 1).join('|')
  return {
    name: `engine-${folder}-looks-back-only`,
    severity: 'error',
    from: { path: `^packages/engine/src/${folder}/` },
    to: { path: source('engine'), pathNot: `^packages/engine/src/((${allowed})/|${ENGINE_ROOT_FILES})` }
  }
})

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true }
    },
    {
      name: 'everything-resolves',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true }
    },
    ...engineFolders,
    {
      name: 'engine-has-no-other-folders',
      comment: 'A new folder needs its place in ENGINE_FOLDERS first.',
      severity: 'error',
      from: { path: source('engine') },
      to: { path: `^packages/engine/src/(?!(${ENGINE_FOLDERS.join('|')})/)[^/]+/` }
    },
    {
      name: 'engine-root-files-stand-alone',
      severity: 'error',
      from: { path: `^packages/engine/src/${ENGINE_ROOT_FILES}` },
      to: { path: '^packages/engine/src/[^/]+/' }
    },
    {
      name: 'engine-is-pure',
      comment: 'No other package of ours, no Node built-ins, nothing with a socket, a disk or a page.',
      severity: 'error',
      from: { path: source('engine') },
      to: { pathNot: ['^packages/engine/', 'node_modules/(yjs|lib0|libsodium-wrappers)/'] }
    },
    {
      name: 'server-and-client-know-the-engine-by-its-index',
      severity: 'error',
      from: { path: '^packages/(server|client)/' },
      to: { path: '^packages/engine/', pathNot: '^packages/engine/src/index\\.ts$' }
    },
    {
      name: 'server-and-client-are-strangers',
      severity: 'error',
      from: { path: '^packages/(server|client)/' },
      to: { path: '^packages/(server|client)/', pathNot: '^packages/$1/' }
    },
    {
      name: 'packages-stand-alone',
      severity: 'error',
      from: { path: '^packages/' },
      to: { path: '^(examples|tests|bench)/' }
    },
    {
      name: 'client-runs-in-browsers',
      comment: 'Node built-ins and ws only in files named *.node.ts.',
      severity: 'error',
      from: { path: source('client'), pathNot: '\\.node\\.ts$' },
      to: { path: ['^node:', 'node_modules/ws/'] }
    },
    {
      name: 'client-runs-in-browsers-core',
      comment: 'The same for built-ins that are imported without the node: prefix.',
      severity: 'error',
      from: { path: source('client'), pathNot: '\\.node\\.ts$' },
      to: { dependencyTypes: ['core'] }
    },
    {
      name: 'nobody-inside-imports-its-own-index',
      severity: 'error',
      from: { path: '^packages/([^/]+)/' },
      to: { path: '^packages/$1/src/index\\.ts$' }
    },
    {
      name: 'examples-use-what-is-published',
      severity: 'error',
      from: { path: '^examples/' },
      to: { path: '^packages/', pathNot: '^packages/[^/]+/src/index\\.ts$' }
    }
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    exclude: { path: '^(packages/[^/]+|examples|tests|bench)/dist/' },
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@lend/source', 'types', 'import', 'node', 'default'],
      mainFields: ['types', 'module', 'main']
    }
  }
}
