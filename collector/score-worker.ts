// A thread of the score: takes tasks, answers with evaluations.

import { parentPort } from 'node:worker_threads';
import { evaluate, type Task } from '../p4-int/fabric/score/evaluate.ts';
import { ScoreCollector } from './score-collector.ts';

parentPort!.on('message', (task: Task) => {
  const evaluation = evaluate(task, (scenario, telemetry, epochUnixNs) => new ScoreCollector(scenario, telemetry, epochUnixNs));
  parentPort!.postMessage(evaluation);
});
