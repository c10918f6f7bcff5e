/** Configuration texts. */
export {type ReadText, readText} from '../services/reading.ts';

/** The text with its comments empty; every line keeps its number. */
export const withoutComments = (text: string): string =>
  text
    .split('\n')
    .map(line => (line.trimStart().startsWith('#') ? '' : line))
    .join('\n');
