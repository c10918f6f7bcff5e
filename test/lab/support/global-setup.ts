/** Before any scenario: images, and a copy of the product as npm would install it. After all: nothing is left. */
import {cp, mkdir} from 'node:fs/promises';
import path from 'node:path';
import {buildImage} from './image.ts';
import {builtDirectory, checkout, productDirectory, runDirectory} from './places.ts';
import {bothReleases} from './release.ts';
import {sweep} from './sweep.ts';

export async function setup(): Promise<void> {
  await sweep();
  await mkdir(path.join(runDirectory), {recursive: true});
  await Promise.all(bothReleases.map(buildImage));
  await cp(builtDirectory, path.join(productDirectory, 'dist'), {recursive: true});
  await cp(path.join(checkout, 'package.json'), path.join(productDirectory, 'package.json'));
}

export async function teardown(): Promise<void> {
  await sweep(path.basename(runDirectory));
}
