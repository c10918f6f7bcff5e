import {afterEach, describe, expect, test, vi} from 'vitest';
import {absolute} from '../../../src/domain/paths.ts';
import type {Event} from '../../../src/flow/state.ts';
import {
  type FrameOptions,
  type Rendered,
  renderSession,
  type StillSession,
  stillSession,
} from '../../support/render-frame.tsx';
import {SAMPLES, sampleState, stateAt} from '../../support/sample-states.ts';

let view: Rendered | undefined;
afterEach(() => {
  view?.close();
  view = undefined;
  vi.restoreAllMocks();
});

async function open(name: string, options: FrameOptions = {}): Promise<Rendered & {session: StillSession}> {
  const session = stillSession(sampleState(name));
  view = await renderSession(session, options);
  return {...view, session};
}

const answer = (question: Extract<Event, {type: 'answered'}>['question'], text: string): Event => ({
  type: 'answered',
  question,
  text,
});

describe('questions', () => {
  test('H1: Down and Enter in one read choose the second entry, not the first', async () => {
    const {type, session} = await open('domain');
    await type('\x1b[B\r');
    expect(session.sent).toEqual([answer('domains', 'example.net')]);
  });

  test('H1: a burst of letters moves as often as it says', async () => {
    const {type, session} = await open('key');
    await type('jjk\x1b[B\r');
    expect(session.sent).toEqual([answer('key', 'rsa:4096')]);
  });

  test('H1: typed quickly, every letter arrives and Enter hands over all of them', async () => {
    const {type, session} = await open('selector');
    await type('\x15mail-a\r');
    expect(session.sent).toEqual([answer('selector', 'mail-a')]);
  });

  test('H2: an arrow key in pieces neither goes back nor types', async () => {
    const {input, press, session, frame} = await open('domain');
    input.type('\x1b');
    await new Promise(resolve => setTimeout(resolve, 10));
    input.type('[');
    await new Promise(resolve => setTimeout(resolve, 10));
    await press('B');
    expect(session.sent).toEqual([]);
    expect(frame()).toContain('❯ example.net');
  });

  test.each(['escape', 'left', 'b'])('%s goes back from a list', async key => {
    const {press, session} = await open('key');
    await press(key);
    expect(session.sent).toEqual([{type: 'back'}]);
  });

  test('H15: Escape goes back from a field, Backspace takes a character', async () => {
    const {press, session, frame} = await open('selector');
    await press('backspace');
    expect(frame()).toContain('❯ 20261▏');
    await press('left', 'left', 'backspace');
    expect(frame()).toContain('❯ 20▏61');
    await press('escape');
    expect(session.sent).toEqual([{type: 'back'}]);
  });

  test('H15: a paste with a line feed is text, not Enter', async () => {
    const {type, session, frame} = await open('selector');
    await type('\x15\x1b[200~mail-b\r\n\x1b[201~');
    expect(session.sent).toEqual([]);
    expect(frame()).toContain('❯ mail-b▏');
  });

  test('"Something else" leads to a field, Escape back to the list', async () => {
    const {press, session, frame} = await open('domain');
    await press('down', 'down', 'down', 'enter');
    expect(frame()).toMatch(/❯ ▏ \(as in: example\.org\)/);
    await press('escape');
    expect(frame()).toContain('Both of them');
    await press('4', 'x.example', 'enter');
    expect(session.sent).toEqual([answer('domains', 'x.example')]);
  });

  test('H12: a number chooses an entry; one that is not possible here says why instead', async () => {
    const {press, session, frame} = await open('key');
    await press('4');
    expect(session.sent).toEqual([]);
    expect(frame()).toContain('an Ed25519 key would stop');
    await press('2');
    expect(session.sent).toEqual([answer('key', 'rsa:3072')]);
  });

  test('of the marked entry the whole reason is shown, though the list has no room for it', async () => {
    const {press, frame} = await open('key');
    expect(frame()).not.toContain('error 451');
    await press('down', 'down', 'down');
    expect(frame().replaceAll(/\s+/g, ' ')).toContain('would stop mail with error 451.');
    await press('up');
    expect(frame()).not.toContain('error 451');
  });

  test('H12: a refusal that makes the list lower on a low terminal leaves the mark on its entry', async () => {
    const {press, session, frame} = await open('key', {columns: 80, rows: 9});
    await press('down', 'down', 'down', 'enter');
    expect(session.sent).toEqual([]);
    expect(frame()).toContain('❯ Ed25519');
    await press('up', 'enter');
    expect(session.sent).toEqual([answer('key', 'rsa:4096')]);
  });

  test('H12: the mark stays where it is while the state changes around it', async () => {
    const {press, session, frame} = await open('key');
    await press('down');
    session.show({...sampleState('key'), lines: [{kind: 'info', text: 'news'}]});
    await press('x');
    expect(frame()).toContain('❯ RSA, 3072 bits');
  });

  test('while an answer is checked no key counts but Ctrl-C', async () => {
    const {press, session} = await open('selector-checking');
    await press('enter', 'escape', 'x', 'ctrlC');
    expect(session.sent).toEqual([{type: 'leave'}]);
  });

  test('a refused answer stays in the field', async () => {
    const {press, session, frame, waitFor} = await open('selector');
    await press('ctrlU', '-bad-', 'enter');
    session.show(
      stateAt({
        at: 'asking',
        question: 'selector',
        initial: '-bad-',
        problem: {id: 'selector.syntax', message: 'Not a selector.', hint: 'Use letters.'},
        checking: false,
      }),
    );
    await waitFor('Not a selector.');
    await press('home');
    expect(frame()).toContain('❯ ▏-bad-');
    expect(frame()).toContain('hint: Use letters.');
  });

  test('text that is wider than the field scrolls with the cursor', async () => {
    const {press, frame} = await open('selector', {columns: 40});
    await press('ctrlU', 'x'.repeat(60), 'END');
    expect(frame()).toContain('xxxEND▏');
    await press('home');
    expect(frame()).toMatch(/❯ ▏x+/);
  });
});

describe('help', () => {
  test('? explains, and what was typed is still there afterwards', async () => {
    const {press, frame, session} = await open('selector');
    await press('x', '?');
    expect(frame()).toContain('It lets you have a new key beside the old one');
    await press('y', 'escape');
    expect(frame()).toContain('❯ 202611x▏');
    expect(session.sent).toEqual([]);
  });

  test('in a note a question mark is text, but for the first character', async () => {
    const {press, frame} = await open('note');
    await press('?');
    expect(frame()).toContain('Everybody can read it');
    await press('escape', 'w', '?');
    expect(frame()).toContain('❯ w?▏');
  });

  test.each(['host', 'record', 'propagation', 'plan', 'applying', 'testing'])('? explains %s', async name => {
    const {press, frame} = await open(name);
    const before = frame();
    await press('?');
    expect(frame()).not.toBe(before);
    expect(frame()).toContain('Esc closes this');
    await press('enter');
    expect(frame()).toBe(before);
  });

  test('Ctrl-C leaves from the help, too', async () => {
    const {press, session} = await open('domain');
    await press('?', 'ctrlC');
    expect(session.sent).toEqual([{type: 'leave'}]);
  });
});

describe('the record', () => {
  test('p asks who publishes it; with a program that is what Enter does', async () => {
    const {press, session, frame, waitFor} = await open('record');
    await press('p');
    expect(session.sent).toEqual([{type: 'edit', question: 'publish'}]);
    const state = sampleState('record');
    const nsupdate = {by: 'nsupdate', tsigKey: absolute('/etc/bind/waxseal.key')} as const;
    session.show({...state, answers: {...state.answers, publish: nsupdate}});
    await waitFor('Enter nsupdate publishes it');
    expect(frame()).toContain('Enter has nsupdate publish it');
  });

  test('what could publish it on this host is named', async () => {
    const {session, waitFor} = await open('record');
    const state = sampleState('record');
    if (state.facts === undefined) throw new TypeError('no facts');
    const label = 'nsupdate with /etc/bind/waxseal.key';
    const publishers = [{publish: 'nsupdate key=/etc/bind/waxseal.key', label, remembered: false}];
    session.show({...state, facts: {...state.facts, publishers}});
    await waitFor('Or press p: nsupdate with');
  });

  test('H17: it is written above the frame, its value on one logical line, no box round it', async () => {
    const {output} = await open('record', {columns: 60, rows: 20});
    const value = sampleState('record').staged[0]?.record.value ?? '';
    expect(value.length).toBeGreaterThan(255);
    expect(output.printed).toHaveLength(1);
    expect(output.printed[0]?.split('\n')).toContain(value);
  });

  test('f shows the next form and after the last the first again', async () => {
    const {press, session, output} = await open('record');
    const forms: string[] = [];
    for (let turn = 0; turn < 5; turn += 1) {
      await press('f');
      const event = session.sent.at(-1);
      if (event?.type !== 'form-chosen') throw new Error('no form chosen');
      forms.push(event.form);
      session.show({...sampleState('record'), phase: {at: 'record', form: event.form, notice: undefined}});
      await press('x');
    }
    expect(forms).toEqual(['zone-file', 'zone-file-wrapped', 'nsupdate', 'json', 'plain']);
    expect(output.printed).toHaveLength(6);
    expect(output.printed[1]).toContain('202611._domainkey.example.org. 3600 IN TXT "v=DKIM1;');
  });

  test('c puts the bare value on the clipboard of the terminal (OSC 52)', async () => {
    const {press, session, output} = await open('record');
    await press('c');
    const [, base64 = ''] = /\x1b\]52;c;([A-Za-z0-9+/=]+)\x07/.exec(output.raw) ?? [];
    expect(Buffer.from(base64, 'base64').toString()).toBe(sampleState('record').staged[0]?.record.value);
    expect(session.sent).toMatchObject([{type: 'noticed'}]);
  });

  test('s asks for a path and saves; a path that is none is refused', async () => {
    const {press, session, frame} = await open('record');
    await press('s');
    expect(frame()).toContain('❯ /root/dkim-202611-example.org.txt▏');
    await press('ctrlU', 'record.txt', 'enter');
    expect(frame()).toContain('is not an absolute path');
    await press('ctrlU', '/tmp/r.txt', 'enter');
    expect(session.sent).toEqual([{type: 'save-record', path: '/tmp/r.txt'}]);
    expect(frame()).toContain('c copies');
  });

  test('d asks for a zone and shows the aliases above; a name that is none is refused', async () => {
    const {press, session, frame, output} = await open('record');
    await press('d');
    expect(frame()).toContain('Publish once, rotate for ever');
    await press('no zone', 'enter');
    expect(frame()).toContain('That is no name of a zone.');
    await press('ctrlU', 'keys.example.net', 'enter');
    expect(output.raw).toContain('IN DNAME example.org.keys.example.net.');
    expect(output.raw).toContain('IN CNAME 202611.example.org.keys.example.net.');
    expect(session.sent).toMatchObject([{type: 'noticed'}]);
  });

  test('Enter goes on, Escape goes back', async () => {
    const {press, session} = await open('record');
    await press('enter', 'escape');
    expect(session.sent).toEqual([{type: 'continued'}, {type: 'back'}]);
  });
});

describe('waiting for the DNS', () => {
  test('Enter asks now, Escape goes back to the record', async () => {
    const {press, session} = await open('propagation');
    await press('enter', 'escape');
    expect(session.sent).toEqual([{type: 'recheck'}, {type: 'back'}]);
  });

  test("w goes on by the resolver's word, and is named only where that is a choice", async () => {
    const blocked = await open('propagation-blocked');
    expect(blocked.frame()).toContain("w goes on by the resolver's word only");
    await blocked.press('w');
    expect(blocked.session.sent).toEqual([{type: 'trust-resolver'}]);
    const plain = await open('propagation');
    expect(plain.frame()).not.toContain("resolver's word");
  });

  test('the clock goes on once a second', async () => {
    let now = Date.parse('2026-11-21T10:01:05Z');
    const {waitFor, frame} = await open('propagation', {now: () => now});
    expect(frame()).toContain('Waiting for 1 m 5 s · next question in 15 s');
    now += 3000;
    await waitFor('Waiting for 1 m 8 s · next question in 12 s');
  });

  test('many servers: those still waited for come first, the rest can be scrolled to', async () => {
    const {press, frame} = await open('propagation-many');
    expect(frame()).toContain('not there yet      ns26.example.org');
    expect(frame()).not.toContain('ns20.example.org ');
    await press('end');
    expect(frame()).toContain('ns20.example.org ');
  });
});

describe('the plan', () => {
  test('Enter alone changes nothing', async () => {
    const {press, session, frame} = await open('plan');
    await press('enter', 'enter', 'enter');
    expect(session.sent).toEqual([]);
    expect(frame()).toContain('Enter alone changes nothing. Press a to apply.');
  });

  test('a, then yes and Enter applies', async () => {
    const {press, session, frame} = await open('plan');
    await press('a');
    expect(frame()).toContain('Type yes and press Enter.');
    await press('yes', 'enter');
    expect(session.sent).toEqual([{type: 'confirmed'}]);
  });

  test.each([
    ['nothing', ''],
    ['y', 'y'],
    ['no', 'no'],
    ['something else', 'yes please'],
  ])('a, then %s and Enter does not', async (_name, text) => {
    const {press, session, frame} = await open('plan');
    await press('a', ...(text === '' ? [] : [text]), 'enter');
    expect(session.sent).toEqual([]);
    expect(frame()).toContain('Not applied.');
  });

  test('H12: no number key applies', async () => {
    const {press, session} = await open('plan');
    await press(...'123456789');
    expect(session.sent).toEqual([]);
  });

  test('Escape takes the question back, then goes back', async () => {
    const {press, session} = await open('plan');
    await press('a', 'escape');
    expect(session.sent).toEqual([]);
    await press('escape');
    expect(session.sent).toEqual([{type: 'back'}]);
  });

  test('the whole diff can be read, nothing cut off', async () => {
    const {press, frame} = await open('plan', {columns: 60, rows: 20});
    const seen = new Set<string>();
    for (let page = 0; page < 6; page += 1) {
      for (const line of frame().split('\n')) seen.add(line.trim());
      await press('pageDown');
    }
    const whole = [...seen].join('\n');
    expect(whole).toContain('+smtpd_milters = inet:127.0.0.1:11332');
    expect(whole).toContain('inet:a-long-name.internal.example.org:8891');
    expect(whole).toContain('+non_smtpd_milters = unix:opendkim/opendkim.sock');
    await press('end', 'up', 'down', 'home');
    expect(frame()).toContain('lines 1–');
  });

  test('it can be scrolled while the question is open', async () => {
    const {press, frame} = await open('plan');
    await press('a', 'pageDown');
    expect(frame()).toContain('+KeyTable');
  });

  test('c lists the answers, and asks the chosen one again', async () => {
    const {press, session, frame} = await open('plan');
    expect(frame()).toContain('c changes an answer');
    await press('c');
    expect(frame()).toContain('Which answer shall be another one?');
    expect(frame()).toMatch(/Which domain shall be signed\? +example\.org/);
    expect(frame()).toMatch(/What shall the key be called\? +202611/);
    await press('a', 'yes');
    expect(session.sent).toEqual([]);
    await press('escape');
    expect(frame()).toContain('What will be changed');
    expect(session.sent).toEqual([]);
    await press('c', 'down', 'enter');
    expect(session.sent).toEqual([{type: 'edit', question: 'selector'}]);
  });

  test('c does nothing where no answer can be given anew, as in a setup that was taken up', async () => {
    const {press, session, frame} = await open('plan');
    session.show({...sampleState('plan'), accepted: []});
    await press('c');
    expect(frame()).toContain('What will be changed');
    expect(frame()).not.toContain('c changes');
    expect(session.sent).toEqual([]);
  });

  test('nothing to change: Enter goes on to the test', async () => {
    const {press, session} = await open('plan-nothing');
    await press('a', 'enter');
    expect(session.sent).toEqual([{type: 'continued'}]);
  });

  test('a plan whose trial failed cannot be applied, and says why', async () => {
    const state = sampleState('plan');
    const ready = state.ready;
    if (ready === undefined) throw new TypeError('no plan');
    const failing = {
      id: 'preflight.signs',
      title: 'A trial message is signed',
      status: 'fail',
      evidence: '',
      cause: 'The key file cannot be read.',
      fix: 'Look at its owner.',
    } as const;
    const session = stillSession({
      ...state,
      ready: {...ready, preflight: {checks: [failing], passed: false}},
    });
    view = await renderSession(session);
    expect(view.frame()).toContain('does not sign in a trial');
    await view.press('a', 'yes', 'enter');
    expect(session.sent).toEqual([{type: 'declined'}]);
  });
});

describe('leaving and ending', () => {
  test.each(Object.keys(SAMPLES).filter(name => !name.startsWith('summary')))(
    'H16: Ctrl-C on %s is an event, the view stays',
    async name => {
      const {press, session, output} = await open(name);
      await press('ctrlC');
      expect(session.sent).toEqual([{type: 'leave'}]);
      expect(output.raw).not.toContain('\x1b[?25h');
    },
  );

  test.each([
    ['enter', {type: 'leave'}],
    ['y', {type: 'leave'}],
    ['ctrlC', {type: 'leave'}],
    ['escape', {type: 'stay'}],
    ['n', {type: 'stay'}],
  ])('"Leave?" and %s', async (key, event) => {
    const {press, session} = await open('leaving');
    await press(key);
    expect(session.sent).toEqual([event]);
  });

  test('saying no to "Leave?" finds the screen as it was', async () => {
    const {press, frame, session} = await open('plan');
    await press('pageDown');
    const before = frame();
    session.show({...sampleState('plan'), phase: {at: 'leaving', from: {at: 'plan'}}});
    await press('x');
    expect(frame()).toContain('Leave?');
    session.show(sampleState('plan'));
    await press('x');
    expect(frame()).toBe(before);
  });

  test.each([
    ['host', 'enter', {type: 'continued'}],
    ['host', 'escape', {type: 'back'}],
    ['host-resume', 'enter', {type: 'continued'}],
    ['host-resume', 'n', {type: 'declined'}],
    ['host-recover', 'enter', {type: 'continued'}],
    ['host-blocked', 'enter', {type: 'leave'}],
  ] as const)('%s and %s', async (name, key, event) => {
    const {press, session} = await open(name);
    await press(key);
    expect(session.sent).toEqual([event]);
  });

  test('the summary is left by Enter, and nothing of the wizard stays behind', async () => {
    const {press, output, app} = await open('summary');
    const ended = app.waitUntilExit();
    await press('enter');
    await ended;
    expect(output.frames.at(-1)).toBe('');
    expect(output.raw).toContain('\x1b[?25h');
  });
});

describe('the terminal', () => {
  test('H11: raw mode stays on through every phase, also where no screen has anything to press', async () => {
    const session = stillSession(sampleState('looking'));
    view = await renderSession(session);
    const modes: boolean[] = [];
    const {input} = view;
    const setRawMode = input.setRawMode.bind(input);
    input.setRawMode = raw => {
      modes.push(raw);
      return setRawMode(raw);
    };
    for (const name of Object.keys(SAMPLES)) {
      if (name.startsWith('summary')) continue;
      session.show(sampleState(name));
      await view.press('?');
      await view.press('?');
      expect(input.isRaw).toBe(true);
    }
    expect(modes).not.toContain(false);
  });

  test('H14: made narrow and wide again, the frame is drawn anew for each width', async () => {
    const {resize, frame, output} = await open('propagation');
    const wide = frame();
    await resize(40, 24);
    expect(frame()).not.toBe(wide);
    expect(frame()).toContain('Is the record everywhere?');
    expect(
      Math.max(
        ...frame()
          .split('\n')
          .map(line => line.length),
      ),
    ).toBeLessThanOrEqual(40);
    await resize(80, 24);
    expect(frame()).toBe(wide);
    expect(output.raw).not.toContain('\x1b[3J');
  });

  test('H4: made lower, the frame shrinks before the scrollback is lost', async () => {
    const {resize, frame, output} = await open('plan', {rows: 40});
    await resize(80, 12);
    expect(frame().split('\n').length).toBeLessThan(12);
    expect(output.raw).not.toContain('\x1b[3J');
  });

  test('H20: a fault of a screen is told, the keys still work, and Ink prints no source lines', async () => {
    const broken = {...sampleState('propagation'), surveys: undefined as unknown as Record<string, never>};
    const session = stillSession(broken);
    const silent = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    view = await renderSession(session);
    await view.press('x', 'y');
    expect(view.faultsOfView).toHaveLength(1);
    expect(view.output.raw).not.toContain('propagation.tsx');
    silent.mockRestore();
  });

  test('an idle screen has no timer; only the waiting screen has one', async () => {
    const started = vi.spyOn(globalThis, 'setInterval');
    const counts: Record<string, number> = {};
    for (const name of ['host', 'domain', 'record', 'plan', 'applying', 'summary', 'propagation']) {
      const before = started.mock.calls.length;
      const still = await open(name);
      counts[name] = started.mock.calls.length - before;
      still.app.unmount();
    }
    expect(counts).toEqual({host: 0, domain: 0, record: 0, plan: 0, applying: 0, summary: 0, propagation: 1});
  });

  test('news of running work is drawn a few times a second, a new phase at once', async () => {
    const session = stillSession(sampleState('applying'));
    view = await renderSession(session);
    const before = view.output.frames.length;
    const began = performance.now();
    for (let index = 0; index < 40; index += 1) {
      session.show({
        ...sampleState('applying'),
        work: [{type: 'step-done', step: `file:/etc/${index}`, index, of: 40}],
      });
      await new Promise(resolve => setTimeout(resolve, 5));
    }
    const quarters = Math.ceil((performance.now() - began) / 250);
    expect(view.output.frames.length - before).toBeLessThanOrEqual(quarters + 2);
    await view.waitFor('/etc/39');
    // Nothing is put off: the frame comes by itself, not by a timer of the view.
    const timers = vi.spyOn(globalThis, 'setTimeout');
    session.show(sampleState('testing'));
    expect(timers.mock.calls.filter(([, ms]) => ms === 250)).toEqual([]);
    timers.mockRestore();
    await view.waitFor('Testing with real messages');
  });
});
