// Reads what the conformance suite wrote and says, readably, which checks were not a success.
//
//   node verdict.mjs RESULTS NAME=SCENARIOS... [NOTE...]
//
// Each NAME is a directory of one run in RESULTS, which must hold exactly that many scenarios. Each
// NOTE is the id of a check that may say that it does not apply here.
import { readdirSync, readFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';

// Notes about what went over the wire, not verdicts. The last one is the suite's way of saying that
// a list was answered as JSON, which is every server's right.
const NOTES = new Set([
  'incoming-request',
  'outgoing-request',
  'outgoing-response',
  'outgoing-sse-event',
  'outgoing-stream-close',
  'server-info',
  'incoming-response',
  'incoming-sse-event',
  'stream-closed',
  'server-sse-streams-functional',
  // A gateway may take a stream up itself that its backend closed in mid-call: its own client's stream
  // never breaks, which the suite notes.
  'server-sse-disconnect-resume',
]);

// Scenarios that the suite announces but has not written: all that they have is a check that was
// skipped. One that is written one day counts by itself.
const UNWRITTEN = new Set(['tasks-status-notifications']);

// What the suite would look at in methods that the modern era has not got.
const GONE = new Set([
  'ClientMcpMethodHeader_initialize',
  'ClientMcpMethodHeader_notifications_initialized',
]);

const isUnwritten = (title, checks) =>
  UNWRITTEN.has(title) && checks.every((check) => check.status === 'SKIPPED');

const isNote = (check) =>
  (check.status === 'INFO' && NOTES.has(check.id)) ||
  (check.status === 'SKIPPED' && GONE.has(check.name));

// A check that says of itself that it does not apply where that was to be expected.
const isExcused = (check) =>
  ['INFO', 'SKIPPED'].includes(check.status) && excused.has(check.id);

const isSuccess = (check) => check.status === 'SUCCESS' || isNote(check) || isExcused(check);

const [results, ...others] = process.argv.slice(2);
const runs = others.filter((argument) => argument.includes('='));
const excused = new Set(others.filter((argument) => !argument.includes('=')));
let failed = 0;

for (const run of runs) {
  const [name, expected] = run.split('=');
  const home = join(results, name);
  const scenarios = existsSync(home) ? readdirSync(home).sort() : [];
  let passed = 0;
  let failedHere = 0;
  for (const scenario of scenarios) {
    const title = scenario.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT.*$/, '');
    const written = join(home, scenario, 'checks.json');
    if (!existsSync(written)) {
      failedHere += 1;
      console.log(`FAILED ${name} ${title}: it broke down; see ${join(results, `${name}.log`)}`);
      continue;
    }
    const checks = JSON.parse(readFileSync(written, 'utf8'));
    if (isUnwritten(title, checks)) continue;
    const verdicts = checks.filter((check) => !isNote(check));
    if (verdicts.length === 0) {
      failedHere += 1;
      console.log(`FAILED ${name} ${title}: it checked nothing`);
    }
    for (const check of verdicts) {
      if (isSuccess(check)) {
        passed += 1;
        continue;
      }
      failedHere += 1;
      console.log(`FAILED ${name} ${title}: ${check.id} (${check.status})`);
      console.log(`  ${check.description}`);
      if (check.errorMessage) console.log(`  ${check.errorMessage}`);
      if (check.details) console.log(`  ${JSON.stringify(check.details).slice(0, 2000)}`);
    }
  }
  if (scenarios.length !== Number(expected)) {
    failedHere += 1;
    const log = join(results, `${name}.log`);
    console.log(`FAILED ${name}: ${scenarios.length} scenarios ran, not ${expected}; see ${log}`);
    if (existsSync(log)) console.log(readFileSync(log, 'utf8').split('\n').slice(-20).join('\n'));
  }
  console.log(
    `${name}: ${scenarios.length} scenarios, ${passed} checks passed, ${failedHere} failed`,
  );
  failed += failedHere;
}

process.exitCode = failed === 0 ? 0 : 1;
