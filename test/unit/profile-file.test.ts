// Profiles: the shipped ones, the user's own, what they inherit, and every problem with its path.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Admission } from '../../collector/admission.ts';
import { ConfigError } from '../../collector/config-form.ts';
import { otherPorts, parseConfig } from '../../collector/config.ts';
import { IDENTITY_PROFILE } from '../../collector/decode/profile.ts';
import { DIALECTS } from '../../collector/hop.ts';
import { dropReasonsOf, ProfileBook, sourceProfileOf } from '../../collector/profile-file.ts';
import { capacityOf, HashSecret, SharedState, observeSettingsOf } from '../../collector/shared-state.ts';

const folder = mkdtempSync(join(tmpdir(), 'hopscope-profiles-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function folderOf(files: Record<string, string>): string {
  const own = mkdtempSync(join(folder, 'own-'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(own, name), text);
  return own;
}

function problemsOf(make: () => unknown): readonly string[] {
  try {
    make();
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('shipped profiles', () => {
  const book = ProfileBook.load();

  it('are all there, described, and can be used', () => {
    expect(book.names).toEqual(
      expect.arrayContaining(['bmv2', 'geant', 'host-int', 'ifa', 'ioam', 'laofan13-like', 'onos', 'sd-fabric', 'sflow', 'spec']),
    );
    for (const name of book.names) {
      expect(book.describe(name).length).toBeGreaterThan(20);
      expect(sourceProfileOf(book.settings(name)!)).toMatchObject({ timestampUnitNs: expect.any(Number) });
    }
  });

  it('say what their exporters mean', () => {
    const of = (name: string) => sourceProfileOf(book.settings(name)!);
    // It filters as it is shipped: taken for whole, silence would look like loss.
    expect(of('sd-fabric')).toMatchObject({
      changeFilter: true,
      occupancyUnitBytes: 80,
      dialects: 1 << DIALECTS.indexOf('report-v0.5'),
    });
    expect(of('onos')).toMatchObject({ timestampUnitNs: 1000, latencyUnitNs: 1000, emptyLatencyNs: 0 });
    expect(of('geant')).toMatchObject({ timestampUnitNs: 1, latencyUnitNs: 1000, intDscp: 32 });
    expect(of('laofan13-like')).toMatchObject({ reportVersion: DIALECTS.indexOf('report-v2.0'), intMxStack: true });
    expect(of('spec').strict).toBe(true);
    expect(of('ifa').ifaProtocol).toBe(131);
    // The same number means something else elsewhere.
    expect(dropReasonsOf(book.settings('sd-fabric')!).get(26)).toBe('IP TTL is zero');
    expect(dropReasonsOf(book.settings('sflow')!).get(259)).toContain('queue was full');
  });

  it('settings that are empty are those without a profile', () => {
    expect(sourceProfileOf({})).toEqual(IDENTITY_PROFILE);
  });
});

describe("the user's own", () => {
  it('build on shipped ones and on one another, and may take their names', () => {
    const own = folderOf({
      'tofino2.yaml': 'description: a chip\nextends: sd-fabric\noccupancyUnitBytes: 176\ninterfaces: { "260": 1 }\n',
      'rack.yaml': 'description: a rack\nextends: tofino2\nportRate: 400G\n',
      'spec.yaml': 'description: mine\nstrict: false\n',
      'README.md': 'not a profile',
    });
    const book = ProfileBook.load(own);
    expect(sourceProfileOf(book.settings('rack')!)).toMatchObject({
      occupancyUnitBytes: 176,
      portBytesPerNs: 50,
      interfaces: new Map([[260, 1]]),
      dialects: 1,
    });
    expect(book.settings('spec')).toEqual({ strict: false });
  });

  it('tell every problem with file and path', () => {
    const own = folderOf({
      'a.yaml': 'description: x\ntimestampUnit: hours\nwat: 1\n',
      'b.yaml': 'description: x\nextends: nowhere\n',
      'c.yaml': 'description: x\nextends: c\n',
      'd.yaml': 'description: [\n',
    });
    const problems = problemsOf(() => ProfileBook.load(own));
    expect(problems.find((p) => p.includes('a.yaml: timestampUnit'))).toContain('must be one of ns, us');
    expect(problems.find((p) => p.includes('a.yaml: wat'))).toContain('is not a known setting');
    expect(problems.find((p) => p.includes('profile b'))).toContain('nowhere, which is not there');
    expect(problems.find((p) => p.includes('profile c'))).toContain('itself');
    expect(problems.find((p) => p.includes('d.yaml'))).toBeDefined();
    expect(problemsOf(() => ProfileBook.load(join(folder, 'none')))).toEqual([
      `${join(folder, 'none')}: is no folder with profiles`,
    ]);
  });
});

describe('in the configuration', () => {
  it('an entry names a profile, and what it says itself wins', () => {
    const { ingest } = parseConfig(
      'ingest: { sources: [{ addresses: [10.0.0.0/8], profile: sd-fabric, occupancyUnitBytes: 176 }, { port: 6343, profile: sflow }] }',
    );
    expect(ingest.sources[0].profile).toMatchObject({ occupancyUnitBytes: 176, dialects: 1 });
    expect(ingest.sources[1]).toMatchObject({ addresses: undefined, port: 6343 });
    expect(otherPorts(ingest)).toEqual([6343]);
  });

  it.each([
    ['{ sources: [{ addresses: [10.0.0.0/8], profile: wat }] }', 'ingest.sources[0].profile: must be one of bmv2, geant'],
    ['{ sources: [{ profile: sflow }] }', 'ingest.sources[0]: must have addresses, a port, or both'],
    ['{ sources: [{ port: 1, occupancyUnit: cells }] }', 'ingest.sources[0].occupancyUnitBytes: must say'],
    ['{ profiles: /no/such/folder, sources: [] }', '/no/such/folder: is no folder with profiles'],
  ])('%s: %s', (ingest, problem) => {
    expect(problemsOf(() => parseConfig(`ingest: ${ingest}`))[0]).toContain(problem);
  });

  it('decides by port and by address, the first entry that matches wins', () => {
    const config = parseConfig(`ingest:
  sources:
    - { addresses: [10.1.0.0/16], timestampUnit: us }
    - { port: 6343, profile: sflow }
`);
    const profileAt = (port: number, address: number) => {
      const state = SharedState.allocate(capacityOf(config), observeSettingsOf(config), HashSecret.fixed());
      const admission = new Admission(state.exporters, { ...config.ingest, port });
      return admission.sourceOf(Uint32Array.of(0, 0, 0xffff, address), Float64Array.of(1e9))!.profile;
    };
    expect(profileAt(32_766, 0x0a010001).timestampUnitNs).toBe(1000);
    expect(profileAt(32_766, 0x0a020001)).toEqual(IDENTITY_PROFILE);
    expect(profileAt(6343, 0x0a020001).dialects).toBe(1 << DIALECTS.indexOf('sflow-v5'));
    expect(profileAt(6343, 0x0a010001).timestampUnitNs).toBe(1000);
  });
});
