import fs from 'node:fs';
import {expect, it} from 'vitest';
import {absolute} from '../../src/domain/paths.ts';
import {asBefore, findStale, observe} from '../../src/plan/index.ts';
import type {FileStep} from '../../src/services/step.ts';
import {scratchWorld} from './scratch-world.ts';

it('a target that has changed is stale also where its new owner does not exist', async () => {
  const world = scratchWorld();
  const path = absolute('/etc/opendkim/TrustedHosts');
  const step: FileStep = {
    kind: 'file',
    id: 'file',
    why: '',
    path,
    before: asBefore(await observe(world.ports.files, path)),
    after: {content: {from: 'text', text: 'new\n'}, owner: {user: 'ghost', group: 'ghost'}, mode: 0o644},
  };
  expect(await findStale(world.ports, {steps: [step]})).toEqual([]);
  fs.writeFileSync(world.real(path), 'by somebody else\n');
  expect(await findStale(world.ports, {steps: [step]})).toMatchObject([{step: 'file', path}]);
});
