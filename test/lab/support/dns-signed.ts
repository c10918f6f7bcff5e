/** Zones signed by the tools of BIND: sound, spoiled after signing, expired, about to expire. */
import {mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {ALL, head, type LabZone, type Server} from './dns-net.ts';
import {must} from './process.ts';

export interface Signing {
  /** As dnssec-signzone takes them: `now-3600`, `now+86400`. */
  readonly from: string;
  readonly to: string;
  /** Changes the zone after it was signed. */
  readonly spoil?: (zone: string) => string;
}

export async function signedZone(apex: string, lines: readonly string[], signing: Signing): Promise<LabZone> {
  const directory = await mkdtemp(path.join(tmpdir(), 'waxseal-sign-'));
  try {
    const file = path.join(directory, 'zone');
    await writeFile(file, `${[...head(apex, 5, ALL), ...lines].join('\n')}\n`);
    const algorithm = 'ECDSAP256SHA256';
    await must(['dnssec-keygen', '-q', '-K', directory, '-a', algorithm, '-f', 'KSK', apex]);
    const keyFile = (await readdir(directory)).find(name => name.endsWith('.key')) ?? '';
    const dnskey = await readFile(path.join(directory, keyFile), 'utf8');
    await writeFile(file, `${await readFile(file, 'utf8')}${dnskey}`);
    const signed = path.join(directory, 'signed');
    const time = ['-s', signing.from, '-e', signing.to];
    await must([
      ...['dnssec-signzone', '-q', '-P', '-z', '-O', 'full', '-K', directory, '-d', directory, ...time],
      ...['-o', apex, '-f', signed, file, path.join(directory, keyFile.replace(/\.key$/, ''))],
    ]);
    const whole = await readFile(signed, 'utf8');
    const content = (signing.spoil ?? (zone => zone))(whole);
    const anchor = dnskey.split('\n').find(line => line.includes('DNSKEY') && !line.startsWith(';')) ?? '';
    return {apex, content: new Map<Server, string>(ALL.map(server => [server, content])), anchors: [anchor]};
  } finally {
    await rm(directory, {recursive: true, force: true});
  }
}
