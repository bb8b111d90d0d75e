#!/usr/bin/env node
// The command line: start, demo, fabric, scenarios, score, decode, profiles, replay, switch, remediation, audit, reaper, webhooks, why.
// Faults of the user get one plain sentence and exit code 1, never a stack.

import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Command, InvalidArgumentError } from 'commander';
import { pino } from 'pino';
import { LiveFabric } from '../p4-int/fabric/live.ts';
import { writeFabricFiles } from '../p4-int/fabric/files.ts';
import { readScenario, scenarioNamed, scenarioNames } from '../p4-int/fabric/scenario-file.ts';
import type { Scenario } from '../p4-int/fabric/scenario.ts';
import { ConfigError } from './config-form.ts';
import { loadConfig, parseConfig, type Config } from './config.ts';
import { decodeCapture, decodeHex, decodeLive, type DecodeOptions } from './decode-command.ts';
import { runDemo } from './demo.ts';
import { startCollector, type Log } from './main.ts';
import { ProfileBook } from './profile-file.ts';
import {
  approve,
  decline,
  resume,
  revert,
  runReaper,
  showHistory,
  showStatus,
  stop,
  verifyAudit,
} from './remediation-command.ts';
import { replayCapture } from './replay.ts';
import { runScore, type ScoreOptions } from './score-command.ts';
import { runSwitchCommand, type SwitchOptions, type SwitchVerb } from './switch-command.ts';
import { VERSION } from './version.ts';
import { enable, replay, showDeadLetters, showEndpoints, type DeadLetterChoice } from './webhook-command.ts';
import { askWhy, type WhyOptions } from './why-command.ts';

const program = new Command('hopscope')
  .description('Takes P4 INT postcards and says when, where and how bad a fabric is congested, who suffers and who causes it.')
  .version(VERSION);

program
  .command('start')
  .description('run the collector for real switches')
  .option('--config <file>', 'YAML configuration; the defaults serve without one')
  .action(async (options: { config?: string }) => {
    const stopped = interrupted();
    const collector = await startCollector(configOf(options.config), jsonLog());
    // As `hopscope remediation stop`, for whoever has no more than the process.
    process.on('SIGUSR2', () => collector.stopRemediation('signal'));
    await stopped;
    await collector.stop();
    end();
  });

program
  .command('demo')
  .description('run a simulated fabric and the collector together, and see an incident')
  .option('--scenario <name>', 'the story that it tells; "hopscope scenarios" lists them', 'noisy-backup')
  .option('--scenario-file <file>', 'a scenario of your own')
  .option('--seed <number>', 'seed of the simulation', wholeNumber, 1)
  .option('--http-port <port>', 'port of the page and the API; 0 takes any free one', wholeNumber, 9733)
  .option('--seconds <number>', 'stop after so many seconds; 0 runs until Ctrl-C', wholeNumber, 0)
  .action(async (options: ScenarioChoice & { seed: number; httpPort: number; seconds: number }) => {
    await runDemo({ ...options, scenario: chosenScenario(options) }, plainLog(), (text) => writeLine(1, text), interrupted());
    end();
  });

program
  .command('fabric')
  .description('run a simulated fabric: live to a collector on this machine, or as a capture and its ground truth')
  .option('--scenario <name>', 'what happens in it; "hopscope scenarios" lists them', 'noisy-backup')
  .option('--scenario-file <file>', 'a scenario of your own')
  .option('--port <port>', 'UDP port on 127.0.0.1 where the collector listens', wholeNumber)
  .option('--pcap <file>', 'write all reports of the scenario as a capture, as fast as possible')
  .option('--truth <file>', 'write what was true as JSON lines')
  .option('--seed <number>', 'seed of the simulation', wholeNumber, 1)
  .action(async (options: ScenarioChoice & { port?: number; pcap?: string; truth?: string; seed: number }) => {
    const { port, pcap, truth, seed } = options;
    const scenario = chosenScenario(options);
    const hasFiles = pcap !== undefined || truth !== undefined;
    if (hasFiles === (port !== undefined)) throw new Error('fabric needs --port, or --pcap and --truth or one of them');
    if (port === undefined) {
      const {
        exporters: [exporter],
        simulator,
      } = writeFabricFiles({ scenario, seed, pcap, truth });
      writeLine(
        1,
        `hopscope: ${scenario.name}: ${simulator.totals.sent} packets, ${exporter.reports} reports, ${exporter.datagrams} datagrams`,
      );
      return;
    }
    const fabric = new LiveFabric({ scenario, seed, port });
    fabric.start();
    writeLine(
      1,
      `hopscope: sending the reports of ${scenario.name} to UDP 127.0.0.1 port ${port}, ${fabric.pace}; Ctrl-C stops it`,
    );
    await interrupted();
    await fabric.stop();
    writeLine(1, `hopscope: ${fabric.reports} reports sent`);
    end();
  });

program
  .command('scenarios')
  .description('list the scenarios: what each tests, and how a naive answer goes wrong')
  .action(() => {
    for (const name of scenarioNames()) {
      const { id = '', about, trap } = scenarioNamed(name);
      writeLine(1, `${id.padEnd(3)} ${name}\n      ${about}\n      Trap: ${trap}`);
    }
  });

program
  .command('score')
  .description('how right the collector is: scenarios with known truth, scored beside the naive way')
  .option('--scenario <names>', 'some of the scenarios, separated by commas; all by default')
  .option('--scenario-file <files>', 'scenarios of your own')
  .option('--seeds <range>', 'a seed, or from one to another', '1-2')
  .option('--degrade <names>', 'how the reports are made worse: none, loss-20, change-filter, sampling-8, ...', 'none')
  .option('--json', 'one JSON object for each scenario and degradation, with every measure')
  .option('--page <file>', 'write a page with pictures')
  .option('--markdown <file>', 'write the tables as Markdown')
  .option('--threads <number>', 'scenarios that run at the same time', wholeNumber)
  .action(async (options: ScoreOptions) => {
    await runScore(
      options,
      (text) => writeLine(1, text),
      (text) => writeLine(2, text),
    );
  });

program
  .command('decode [file]')
  .description(
    'print every telemetry report of a pcap or pcapng file as one JSON line; - reads UDP payloads in hexadecimal, --listen a live port',
  )
  .option('--port <port>', 'only datagrams to this UDP port', wholeNumber)
  .option('--listen <port>', 'decode what comes in on this UDP port until Ctrl-C', wholeNumber)
  .option('--profile <name>', 'what the source means by its numbers; "hopscope profiles" lists them')
  .option('--profiles <folder>', 'a folder with profiles of your own')
  .option('--int-port <port>', 'UDP destination port that announces INT inside the reported packets', wholeNumber)
  .option('--strict', 'refuse what is tolerated with a warning')
  .option('--table', 'a row for each hop')
  .option('--explain', 'every octet by offset, field and value, and what deviates')
  .action(async (file: string | undefined, options: DecodeOptions & { listen?: number }) => {
    const line = (text: string): void => writeLine(1, text);
    const note = (text: string): void => writeLine(2, `hopscope: ${text}`);
    if ((file === undefined) === (options.listen === undefined))
      throw new Error('decode needs a file, -, or --listen, and only one of them');
    if (options.listen !== undefined) await decodeLive(options.listen, options, line, note, interrupted());
    else if (file === '-') process.exitCode = await decodeHex(createInterface({ input: process.stdin }), options, line, note);
    else process.exitCode = decodeCapture(file!, options, line, note);
  });

program
  .command('profiles')
  .description('list the profiles: what kinds of exporters mean by their numbers')
  .option('--profiles <folder>', 'a folder with profiles of your own')
  .action((options: { profiles?: string }) => {
    const book = ProfileBook.load(options.profiles);
    for (const name of book.names) writeLine(1, `${name.padEnd(18)} ${book.describe(name)}`);
  });

program
  .command('replay <file>')
  .description('send a pcap or pcapng file through the whole collector as if live, and print the incidents as JSON lines')
  .option('--config <file>', 'YAML configuration: units, names and owners')
  .option('--port <port>', 'only datagrams to this UDP port', wholeNumber)
  .action((file: string, options: { config?: string; port?: number }) => {
    const { state, diagnosis, frames, datagrams, fault } = replayCapture(file, { ...options, config: configOf(options.config) });
    for (const incident of diagnosis.incidents.list().reverse()) writeLine(1, JSON.stringify(incident));
    const counts = state.counters.read();
    const unknown = counts.unknownDialects.reduce((sum, n) => sum + n, 0);
    writeLine(
      2,
      `hopscope: ${frames} frames, ${datagrams} datagrams, ${counts.of('reportsDecoded')} reports decoded, ` +
        `${counts.datagramsRejected.reduce((sum, n) => sum + n, 0)} datagrams rejected` +
        (unknown > 0 ? ` (${unknown} of no dialect that is decoded: see "hopscope decode")` : ''),
    );
    if (fault !== undefined) {
      writeLine(2, `hopscope: ${fault}`);
      process.exitCode = 1;
    }
  });

const switches = program.command('switch').description('bring P4 switches to what a YAML file says, over P4Runtime');
const SWITCH_VERBS: Record<SwitchVerb, string> = {
  plan: 'show what would change; writes nothing',
  apply: 'make it so, and read back whether it is',
  status: 'show how each switch stands: its program, who leads it, what differs',
};
for (const verb of Object.keys(SWITCH_VERBS) as SwitchVerb[]) {
  const command = switches
    .command(`${verb} <file>`)
    .description(SWITCH_VERBS[verb])
    .option('--switch <name...>', 'of these switches alone')
    .option('--json', 'one line of JSON per switch');
  if (verb === 'apply')
    command.option('--replace-program', 'load the program even where another one runs, with all entries in it');
  command.action(async (file: string, options: SwitchOptions) => {
    const isWell = await runSwitchCommand(verb, file, options, (text) => writeLine(1, text.replace(/\n$/, '')));
    process.exitCode = isWell ? 0 : 1;
  });
}

const remediationCommands = program
  .command('remediation')
  .description('what Hopscope may change by itself, and what it has changed');
const withConfig = (command: Command): Command => command.option('--config <file>', "the collector's configuration");
interface OperatorOptions {
  config?: string;
  as: string;
  count: number;
}
withConfig(remediationCommands.command('status'))
  .description('rules with their charters, leases in force, changes that wait for an approval')
  .action((options: OperatorOptions) => showStatus(configOf(options.config), (text) => writeLine(1, text)));
withConfig(remediationCommands.command('approve <hash>'))
  .description('approve the change with this hash')
  .requiredOption('--as <name>', 'who you are')
  .action((hash: string, options: OperatorOptions) => approve(configOf(options.config), hash, options.as));
withConfig(remediationCommands.command('decline <hash>'))
  .description('say no to the change with this hash')
  .requiredOption('--as <name>', 'who you are')
  .action((hash: string, options: OperatorOptions) => decline(configOf(options.config), hash, options.as));
withConfig(remediationCommands.command('revert'))
  .description('undo everything that is in force')
  .requiredOption('--as <name>', 'who you are')
  .action((options: OperatorOptions) => revert(configOf(options.config), options.as));
withConfig(remediationCommands.command('stop'))
  .description('undo everything and do nothing from now on; needs no running collector')
  .option('--as <name>', 'who you are', 'somebody')
  .action((options: OperatorOptions) => stop(configOf(options.config), options.as));
withConfig(remediationCommands.command('resume'))
  .description('go on after a stop')
  .action((options: OperatorOptions) => resume(configOf(options.config)));
withConfig(remediationCommands.command('history'))
  .description('the last decisions, also those to do nothing')
  .option('--count <number>', 'how many', wholeNumber, 50)
  .action((options: OperatorOptions) => showHistory(configOf(options.config), options.count, (text) => writeLine(1, text)));

const webhookCommands = program.command('webhooks').description('endpoints that are told of incidents, and what was given up');
const withLetters = (command: Command): Command =>
  withConfig(command)
    .option('--id <id>', 'the one with this id')
    .option('--endpoint <name>', 'those for this endpoint')
    .option('--since <time>', 'given up at or after this time (ISO 8601)')
    .option('--until <time>', 'given up at or before this time');
withConfig(webhookCommands.command('status'))
  .description('endpoints, what waits for them, and whether they answer')
  .action((options: OperatorOptions) => showEndpoints(configOf(options.config), (text) => writeLine(1, text)));
withLetters(webhookCommands.command('dead'))
  .description('events that were given up')
  .action((options: OperatorOptions & DeadLetterChoice) =>
    showDeadLetters(configOf(options.config), options, (text) => writeLine(1, text)),
  );
withLetters(webhookCommands.command('replay'))
  .description('send events anew that were given up, under their own ids')
  .requiredOption('--as <name>', 'who you are')
  .action((options: OperatorOptions & DeadLetterChoice) =>
    replay(configOf(options.config), options, (text) => writeLine(1, text)),
  );
withConfig(webhookCommands.command('enable <endpoint>'))
  .description('write again to an endpoint that said it was gone (HTTP 410)')
  .requiredOption('--as <name>', 'who you are')
  .action((endpoint: string, options: OperatorOptions) => enable(configOf(options.config), endpoint, options.as));

withConfig(program.command('audit').command('verify'))
  .description('whether the audit file is as it was written')
  .action((options: OperatorOptions) => {
    process.exitCode = verifyAudit(configOf(options.config), (text) => writeLine(1, text)) ? 0 : 1;
  });
withConfig(program.command('reaper'))
  .description('end changes whose time is over when the collector does not; run it beside the collector')
  .action(async (options: OperatorOptions) => {
    await runReaper(configOf(options.config), (text) => writeLine(1, text), interrupted());
    end();
  });

program
  .command('why <namespace/name>')
  .description('ask a running collector what the fabric did to a workload or pod, and what it did to others')
  .option('--at <time>', 'when, like 2026-11-27T10:15:00Z; now by default')
  .option('--config <file>', "the collector's configuration: where it answers, and its token")
  .option('--url <url>', 'where the collector answers, if not on this machine')
  .option('--json', 'the whole answer as one JSON object')
  .action(async (subject: string, options: WhyOptions) => {
    const answer = await askWhy(subject, options, configOf(options.config));
    writeLine(1, options.json === true ? JSON.stringify(answer) : answer.text);
  });

program.parseAsync().catch((error: unknown) => {
  const known = error instanceof ConfigError || (error instanceof Error && (error as NodeJS.ErrnoException).code === undefined);
  writeLine(2, `hopscope: ${known ? error.message : errorSentence(error)}`);
  process.exitCode = 1;
});

/** All parts have stopped; a request that some server leaves unanswered must not keep the process. */
function end(): never {
  process.exit(0);
}

interface ScenarioChoice {
  scenario: string;
  scenarioFile?: string;
}

function chosenScenario({ scenario, scenarioFile }: ScenarioChoice): Scenario {
  return scenarioFile === undefined ? scenarioNamed(scenario) : readScenario(scenarioFile);
}

function configOf(path: string | undefined): Config {
  return path === undefined ? parseConfig('') : loadConfig(path);
}

function errorSentence(error: unknown): string {
  const { code, path, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return `${path ?? 'a file'} does not exist`;
  if (code === 'EISDIR') return `${path ?? 'the file'} is a folder`;
  if (code === 'EACCES') return `${path ?? 'a file'} cannot be read: permission denied`;
  return message;
}

/** Synchronous, so that a pipe gets every line before the process ends; a closed pipe ends the output quietly. */
function writeLine(fd: 1 | 2, text: string): void {
  const bytes = Buffer.from(`${text}\n`);
  for (let offset = 0; offset < bytes.length;) {
    try {
      offset += writeSync(fd, bytes, offset);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') process.exit(0);
      if (code !== 'EAGAIN') throw error;
    }
  }
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('must be a whole number');
  return Number(text);
}

/** Resolves at the first Ctrl-C or SIGTERM. */
function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
}

function jsonLog(): Log {
  const logger = pino({ name: 'hopscope' });
  return {
    info: (message) => logger.info(message),
    notice: (message) => logger.warn(message),
    error: (message) => logger.error(message),
  };
}

function plainLog(): Log {
  const say = (message: string): void => writeLine(2, `hopscope: ${message}`);
  return { info: say, notice: say, error: say };
}
