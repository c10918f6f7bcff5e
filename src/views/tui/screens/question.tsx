import {Box} from 'ink';
import {type ReactNode, useMemo, useState} from 'react';
import {problem as makeProblem, type Problem} from '../../../domain/result.ts';
import {visible} from '../../../domain/text.ts';
import {type Choice, choicesIn, type Question as Definition, questionOf} from '../../../flow/questions.ts';
import type {Phase} from '../../../flow/state.ts';
import {ChoiceList, cutHint, type Option} from '../components/choice-list.tsx';
import {DrawRows} from '../components/draw.tsx';
import {EXPLAINS, Frame, type KeyHint, LEAVES, useRoom} from '../components/frame.tsx';
import {TextField} from '../components/text-field.tsx';
import {useKeys, useUi} from '../components/ui.tsx';
import {type Key, letterOf} from '../input/keys.ts';
import {BLANK, cut, paragraph, type Row} from '../rows.ts';
import {problemRows} from '../status.ts';
import {type Theme, useTheme} from '../theme.tsx';

type Asking = Extract<Phase, {at: 'asking'}>;

/** Value of the entry that leads to the field; no question takes a NUL as an answer. */
const OTHER = '\0other';

const ALWAYS: readonly KeyHint[] = [['Esc', 'goes back'], EXPLAINS, LEAVES];
const LIST_KEYS: readonly KeyHint[] = [['Enter', 'chooses'], ...ALWAYS];
const FIELD_KEYS: readonly KeyHint[] = [['Enter', 'takes this answer'], ...ALWAYS];

/** One question of the table: a list where there are choices, a field where the answer is typed, or both in turn. */
export function Question({phase}: {readonly phase: Asking}): ReactNode {
  const {state, send, openHelp} = useUi();
  const theme = useTheme();
  const question = questionOf(phase.question);
  const {answers, facts, domainFacts} = state;
  const choices = useMemo(
    () => choicesIn({answers, facts, domainFacts}, question),
    [question, answers, facts, domainFacts],
  );
  const isChoice = choices.some(choice => choice.value === phase.initial);
  const [typing, setTyping] = useState(choices.length === 0 || (phase.initial !== '' && !isChoice));
  const [refusal, setRefusal] = useState<Problem | undefined>(undefined);
  const [marked, setMarked] = useState(isChoice ? phase.initial : choices[0]?.value);
  const room = useRoom(phase.checking ? [LEAVES] : typing ? FIELD_KEYS : LIST_KEYS);

  const back = (): void => {
    if (typing && choices.length > 0) setTyping(false);
    else send({type: 'back'});
  };
  useKeys(key => {
    if (phase.checking) return;
    if (key.name === 'escape') back();
    else if (!typing && (key.name === 'left' || letterOf(key) === 'b')) send({type: 'back'});
    else if (!typing && letterOf(key) === '?') openHelp();
  });

  const choose = (value: string): void => {
    const choice = choices.find(each => each.value === value);
    if (value === OTHER) {
      setRefusal(undefined);
      setTyping(true);
    } else if (choice?.disabled !== undefined) {
      setRefusal(makeProblem('choice.disabled', choice.disabled, ''));
    } else {
      send({type: 'answered', question: phase.question, text: value});
    }
  };
  const explains = (key: Key, text: string): boolean => {
    // A note may well have a question mark in it; elsewhere none can be part of an answer.
    if (letterOf(key) !== '?' || (phase.question === 'note' && text !== '')) return false;
    openHelp();
    return true;
  };

  const shown = refusal ?? phase.problem;
  const options = optionsOf(question, choices);
  const hint = typing ? '' : cutHint(options, marked, room.width);
  const said = belowRows(phase, shown, hint, room.width, theme);
  // A hint is worth less than the sight of all options.
  const below =
    shown === undefined && !phase.checking && options.length + said.length > room.height ? [] : said;
  const listHeight = Math.max(1, Math.min(options.length, room.height - Math.min(below.length, 4)));
  const head = leadRows(question, room.width).slice(
    0,
    Math.max(0, room.height - (typing ? 1 : listHeight) - below.length - 1),
  );
  const tail = below.slice(0, Math.max(0, room.height - (typing ? 1 : listHeight) - spaced(head).length));

  return (
    <Frame title={question.title} room={room}>
      <DrawRows rows={spaced(head)} />
      {typing ? (
        <TextField
          key={phase.initial}
          label={question.title}
          initial={isChoice && choices.length > 0 ? '' : phase.initial}
          placeholder={question.placeholder}
          width={room.width}
          disabled={phase.checking}
          intercept={explains}
          onSubmit={text => send({type: 'answered', question: phase.question, text})}
        />
      ) : (
        <Box aria-role="listbox" flexDirection="column">
          {/* The list would lose its mark where it gets lower than the place of the mark: it is drawn anew. */}
          <ChoiceList
            key={listHeight}
            options={options}
            initial={marked ?? phase.initial}
            width={room.width}
            height={listHeight}
            disabled={phase.checking}
            onChoose={choose}
            onMark={value => {
              setMarked(value);
              setRefusal(undefined);
            }}
          />
        </Box>
      )}
      <DrawRows rows={tail} />
    </Frame>
  );
}

const spaced = (rows: readonly Row[]): readonly Row[] => (rows.length === 0 ? rows : [...rows, BLANK]);

function optionsOf(question: Definition, choices: readonly Choice[]): readonly Option[] {
  const listed = choices.map(({value, label, hint, disabled}) => ({
    value,
    label,
    hint: disabled === undefined ? hint : `not possible here: ${disabled}`,
  }));
  return question.free ? [...listed, {value: OTHER, label: 'Something else', hint: 'type it'}] : listed;
}

/** The first sentence of the help, so that nobody needs `?` to know what is asked. */
const leadRows = ({help: [first = '']}: Definition, width: number): readonly Row[] =>
  paragraph(first, width, {tone: 'muted'});

/** Below the answers: what is wrong with the last one, else what the list had to cut short of the marked one. */
function belowRows(
  phase: Asking,
  shown: Problem | undefined,
  hint: string,
  width: number,
  theme: Theme,
): readonly Row[] {
  if (phase.checking) {
    return [BLANK, [{text: cut(`Checking this answer${theme.symbols.ellipsis}`, width, ''), tone: 'muted'}]];
  }
  if (shown !== undefined) return [BLANK, ...problemRows(shown, width, theme)];
  return hint === '' ? [] : [BLANK, ...paragraph(visible(hint), width, {lead: {text: '  '}, tone: 'muted'})];
}
