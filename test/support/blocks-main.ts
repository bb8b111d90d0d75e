// Preloaded with --import: the main thread stands still for one second in every three, as a long collection or a slow library would make it.

import { isMainThread } from 'node:worker_threads';

if (isMainThread) {
  setInterval(() => {
    for (const endMs = performance.now() + 1000; performance.now() < endMs;);
    process.stderr.write('main thread stood still\n');
  }, 3000).unref();
}
