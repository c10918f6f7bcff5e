/** Whose answers a draft has: those of a rotation are none for a set-up, and the other way round. */
import {describe, expect, it} from 'vitest';
import {keepDraft, look} from '../../src/jobs/setup/look.ts';
import {loadDraft, saveDraft} from '../../src/rotation/index.ts';
import {domain} from '../services/wanted.ts';
import {fixtureHost, planPorts} from '../support/fake-host.ts';

const ANSWERS = {domains: [domain('example.com')]};

function host() {
  const fixture = fixtureHost('debian-13');
  fixture.files.directory('/var/lib');
  const ports = planPorts(fixture);
  const seenBy = async (newSelector: boolean) =>
    (await look(ports, {resolvers: undefined, newSelector}, new AbortController().signal)).draft;
  return {ports, seenBy};
}

describe('a draft', () => {
  it.each([
    [false, 'setup'],
    [true, 'rotate'],
  ] as const)('is seen by the command that wrote it alone (rotation: %s)', async (isRotation, command) => {
    const {ports, seenBy} = host();
    await keepDraft(ports, {newSelector: isRotation}, ANSWERS);
    expect(await loadDraft(ports.files)).toMatchObject({value: {command}});
    expect(await seenBy(isRotation)).toEqual(ANSWERS);
    expect(await seenBy(!isRotation)).toBeUndefined();
  });

  it('that names no command is one of a set-up', async () => {
    const {ports, seenBy} = host();
    await saveDraft(ports.files, {domains: 'example.com'});
    expect(await seenBy(false)).toEqual(ANSWERS);
    expect(await seenBy(true)).toBeUndefined();
  });
});
