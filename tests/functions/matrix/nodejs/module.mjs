// An ES module with a hook that runs in each clone.
import { randomInt } from 'node:crypto';
import { registerAfterRestore, registerBeforeSnapshot } from 'stoker-runtime';

const said = [];
const int = randomInt(2 ** 47);
registerBeforeSnapshot(() => said.push('before the snapshot'));
registerAfterRestore(async (what) => { await null; said.push(what); }, 'after the restore');
await null;

export const handler = async () => ({ said, int, next: randomInt(2 ** 47) });
