/** One scenario's world: a small internet and a mail host in it, gone afterwards whatever happens. */
import {copyFile, mkdir, readdir} from 'node:fs/promises';
import path from 'node:path';
import {expect} from 'vitest';
import {Internet} from './dns.ts';
import {Host} from './host.ts';
import {buildImage} from './image.ts';
import {runDirectory} from './places.ts';
import type {Release} from './release.ts';

export interface World {
  readonly internet: Internet;
  readonly host: Host;
  /** For what a scenario wants to keep: screens, traces. */
  readonly directory: string;
}

let made = 0;

export async function inWorld(
  release: Release,
  scenario: (world: World) => Promise<void>,
  prepare?: (host: Host) => Promise<void>,
  /** What an earlier host had changed (`keepChanges`), to go on from there. */
  from?: string,
): Promise<void> {
  made += 1;
  // No scenario can forget an image: one that needs it first makes it, wherever it stands in the run.
  await buildImage(release);
  const name = `waxlab${process.pid}n${made}`;
  const directory = path.join(runDirectory, name);
  await mkdir(directory, {recursive: true});
  const internet = await Internet.start(name, path.join(directory, 'dns'));
  try {
    const host = await Host.boot(
      {
        release,
        directory: path.join(directory, 'host'),
        namespace: name,
        name,
        ...(from === undefined ? {} : {from}),
      },
      prepare,
    );
    try {
      await scenario({internet, host, directory});
    } catch (error) {
      const kept = await host.keepEvidence(`${release.suite} ${expect.getState().currentTestName ?? name}`);
      // Screens and traces of the scenario itself.
      for (const file of await readdir(directory, {withFileTypes: true})) {
        if (file.isFile()) await copyFile(path.join(directory, file.name), path.join(kept, file.name));
      }
      if (error instanceof Error) error.message += `\n(evidence kept in ${kept})`;
      throw error;
    } finally {
      await host.remove();
    }
  } finally {
    await internet.stop();
  }
}
