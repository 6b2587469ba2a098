// The packages that package-lock.json names. They live in a folder of the user's, which is the first argument.

import { createRequire } from 'node:module'
import { join } from 'node:path'

export const need = createRequire(join(process.argv[2], '/'))
