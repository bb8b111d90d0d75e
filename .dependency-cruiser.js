// Who may import whom: the layers of docs/design.md, as rules. A test proves that they bite.

const VOCABULARY = '^collector/(hop|flow-key|column-memory|event|edge|move|metric|timeline|address|tcp)\\.ts$';

/** Modules under `from` may import only what one of `allowed` matches (own files, packages, node:). */
function layer(name, from, allowed, comment) {
  return {
    name,
    comment,
    severity: 'error',
    from: { path: from },
    to: { pathNot: allowed, dependencyTypesNot: ['core', 'npm', 'npm-dev', 'npm-optional'] },
  };
}

function purely(name, from, comment) {
  return { name, comment, severity: 'error', from: { path: from }, to: { dependencyTypes: ['core', 'npm', 'npm-dev'] } };
}

export default {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    layer(
      'vocabulary',
      '^collector/(hop|flow-key|column-memory|event|edge|move|metric|tcp)\\.ts$',
      ['^collector/(flow-key|column-memory)\\.ts$'],
      'the vocabulary imports nothing else of ours',
    ),
    layer(
      'decode',
      '^collector/decode/',
      ['^collector/(hop|flow-key)\\.ts$', '^collector/decode/'],
      'decoders see bytes and the record',
    ),
    purely('decode-is-pure', '^collector/(decode|memory|observe)/', 'no node: and no library on the packet path'),
    layer('ingest', '^collector/ingest/', ['^collector/ingest/'], 'ingest is given a receive(bytes)'),
    layer('memory', '^collector/memory/', ['^collector/memory/'], 'memory knows nothing of ours'),
    layer('observe', '^collector/observe/', [VOCABULARY, '^collector/memory/'], 'stages never import each other, nor decode'),
    layer('diagnose', '^collector/diagnose/', [VOCABULARY, '^collector/diagnose/', '^collector/(memory|observe)/'], 'verdicts'),
    {
      name: 'diagnose-reads-tables-by-type-only',
      severity: 'error',
      from: { path: '^collector/diagnose/' },
      to: { path: '^collector/(memory|observe)/', dependencyTypesNot: ['type-only'] },
    },
    layer('identify', '^collector/identify/', [VOCABULARY, '^collector/identify/'], 'owners of addresses'),
    layer('expose', '^collector/expose/', [VOCABULARY], 'exporters see numbers and verdicts, never the wire or each other'),
    layer('store', '^collector/store/', [VOCABULARY, '^collector/store/database\\.ts$'], 'what survives'),
    layer(
      'actions',
      '^alerts/remediation/actions/',
      [VOCABULARY, '^p4-int/runtime/', '^alerts/remediation/change\\.ts$'],
      'actions see the vocabulary and their library',
    ),
    layer(
      'remediation',
      '^alerts/remediation/[^/]+$',
      [VOCABULARY, '^alerts/remediation/', '^collector/store/'],
      'remediation sees incidents, its store and its actions',
    ),
    layer(
      'notify',
      '^alerts/notify/',
      [VOCABULARY, '^alerts/notify/', '^collector/store/'],
      'who is told sees incidents and its store, and nothing of what is done about them',
    ),
    layer('rules', '^alerts/rules/', ['^alerts/rules/', '^collector/metric\\.ts$'], 'rules see metric names'),
    layer('dashboards', '^dashboards/', ['^dashboards/', VOCABULARY], 'dashboards see the vocabulary'),
    layer(
      'fabric',
      '^p4-int/(wire|fabric)/',
      ['^p4-int/(wire|fabric)/'],
      'the fabric never sees the collector: one bug must not hide another',
    ),
    layer('runtime', '^p4-int/runtime/', ['^p4-int/runtime/'], 'a P4Runtime client, of use without the collector'),
    {
      name: 'wiring-is-the-top',
      comment: 'nobody imports main, cli or the thread',
      severity: 'error',
      from: { path: '^(collector|alerts|dashboards|p4-int)/', pathNot: '^collector/(cli|demo|main)\\.ts$' },
      to: { path: '^collector/(main|cli|demo|ingest-thread)\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    { name: 'product-not-test', severity: 'error', from: { pathNot: '^test/' }, to: { path: '^test/' } },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|node_modules)/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
  },
};
