// Generates ./generated from ./proto: `node p4-int/runtime/generate.ts [DIRECTORY]`, with protoc (Debian's protobuf-compiler) on the path.

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const out = process.argv[2] ?? path('generated');

const OPTIONS = [
  'env=node',
  'outputServices=grpc-js',
  'oneof=unions-value',
  'forceLong=bigint',
  'importSuffix=.ts',
  'enumsAsLiterals=true',
  'unrecognizedEnum=false',
  'esModuleInterop=true',
  'useExactTypes=false',
  'useOptionals=none',
  'outputPartialMethods=true',
  'outputTypeAnnotations=false',
  'snakeToCamel=keys,json',
];

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
execFileSync(
  'protoc',
  [
    `--plugin=protoc-gen-ts_proto=${path('../../node_modules/.bin/protoc-gen-ts_proto')}`,
    `--proto_path=${path('proto')}`,
    `--ts_proto_out=${out}`,
    `--ts_proto_opt=${OPTIONS.join(',')}`,
    'p4runtime.proto',
    'p4info.proto',
    'status.proto',
  ],
  { stdio: 'inherit' },
);
