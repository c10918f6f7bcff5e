import type {AbsolutePath} from '../../src/domain/paths.ts';
import type {FileAttributes, Files} from '../../src/system/ports.ts';

/** Sets owner and mode of whatever is at `path`. */
export async function setAttributes(
  files: Files,
  path: AbsolutePath,
  attributes: FileAttributes,
): Promise<void> {
  const stat = await files.stat(path);
  if (stat === undefined) throw new TypeError(`no ${path}`);
  await files.setAttributes(path, attributes, stat);
}
