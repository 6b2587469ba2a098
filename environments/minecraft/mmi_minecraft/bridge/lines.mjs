// Requests, answers and events, each a line of JSON. Standard output carries nothing else; what packages print goes
// to standard error. The process ends when its standard input does, which is when its parent ends.

import { createInterface } from 'node:readline'
import { PassThrough } from 'node:stream'

export class Refusal extends Error {} // the world says no; something else may be tried
export class Misuse extends Error {} // what the person gave is wrong
export class Lost extends Error {} // the world is gone

const KINDS = [[Refusal, 'refused'], [Misuse, 'config'], [Lost, 'lost']]
const { stdin, stdout } = process
const write = (line) => stdout.write(line)

// flying-squid takes lines of standard input for commands, and clears lines of standard output
Object.defineProperty(process, 'stdin', { value: new PassThrough() })
Object.defineProperty(process, 'stdout', { value: new PassThrough().resume() })

export function tell (event, data) {
  write(JSON.stringify({ event, data }) + '\n')
}

// Answers requests one after the other, each by the method of its name.
export function serve (methods) {
  console.log = console.info = console.debug = console.error
  process.on('uncaughtException', (error) => console.error(error)) // of a package; whoever waits is told by a time-out
  process.on('unhandledRejection', (error) => console.error(error))
  let before = Promise.resolve()
  createInterface({ input: stdin })
    .on('line', (line) => { before = before.then(() => answer(methods, line)) })
    .on('close', () => process.exit(0))
}

async function answer (methods, line) {
  const { id, method, params = {} } = JSON.parse(line)
  try {
    if (!Object.hasOwn(methods, method)) throw new Misuse(`no method ${method}`)
    const result = await methods[method](params)
    write(JSON.stringify({ id, result: result ?? null }) + '\n')
  } catch (error) {
    const kind = KINDS.find(([type]) => error instanceof type)?.[1] ?? 'fault'
    if (kind === 'fault') console.error(error)
    write(JSON.stringify({ id, error: { kind, message: String(error?.message ?? error), data: error?.data } }) + '\n')
  }
}

// Waits for something, but no longer than so many seconds.
export function within (seconds, promise, refusal) {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(refusal), seconds * 1000)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
