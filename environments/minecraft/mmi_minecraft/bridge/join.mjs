// Joins a server, and says in one line why it could not.

import { Lost, Misuse, within } from './lines.mjs'
import { need } from './modules.mjs'

const protocol = need('minecraft-protocol')
const mineflayer = need('mineflayer')
const { Vec3 } = need('vec3')
const { pathfinder } = need('mineflayer-pathfinder')
const versions = need('minecraft-data').versions.pc

const MODES = ['survival', 'creative', 'adventure', 'spectator']

export async function join ({ host, port, username, version, limit_s: timeout }) {
  const found = await ask(host, port, timeout)
  const speaks = versionOf(found, version, `${host}:${port}`)
  return await enter({ host, port, username, version: speaks }, timeout)
}

async function ask (host, port, timeout) {
  const at = `${host}:${port}`
  try {
    return await within(timeout, protocol.ping({ host, port, closeTimeout: timeout * 1000 }), new Error('no answer'))
  } catch (error) {
    const why = error.code === 'ECONNREFUSED' ? 'nothing listens there' : error.code ?? error.message
    throw new Lost(`no Minecraft server answers at ${at} (${why}): start one (mmi env up minecraft), or name its host and port`)
  }
}

// The version to speak: the server's own, if it is one that can be spoken and the one that was asked for.
function versionOf (found, wanted, at) {
  const number = found.version.protocol
  const same = versions.filter((each) => each.version === number).map((each) => each.minecraftVersion)
  const named = same.find((each) => found.version.name.includes(each)) ?? same.find((each) => !each.includes('w')) ?? ''
  const is = named || found.version.name
  if (wanted && !same.includes(wanted)) throw new Misuse(`the server at ${at} is of version ${is}, not ${wanted}`)
  const { oldestSupportedVersion: oldest, latestSupportedVersion: newest } = mineflayer
  const rank = (name) => versions.find((each) => each.minecraftVersion === name)?.version ?? Infinity
  if (!named || number > rank(newest) || number < rank('1.16.4')) {
    throw new Misuse(`the server at ${at} is of version ${is}: expected 1.16.4 to ${newest} (this mineflayer begins at ${oldest})`)
  }
  return wanted || named
}

async function enter (options, timeout) {
  const bot = mineflayer.createBot({ ...options, auth: 'offline', hideErrors: true, respawn: true, viewDistance: 'short' })
  const gone = new Promise((resolve) => {
    bot.once('kicked', (reason) => resolve(kicked(plain(reason), options.username)))
    bot.once('error', (error) => resolve(`the connection failed: ${error.code ?? error.message}`))
    bot.once('end', (reason) => resolve(`the connection ended: ${reason}`))
    bot._client.once('encryption_begin', () => resolve(kicked('online mode', options.username)))
  })
  gone.then((why) => { bot.gone ??= why })
  bot._client.on('game_state_change', ({ reason, gameMode }) => { // by its name since 1.20.5, which mineflayer does not know
    if (reason === 'change_game_mode') bot.game.gameMode = MODES[gameMode]
  })
  bot.loadPlugin(pathfinder)
  const spawned = new Promise((resolve) => bot.once('spawn', resolve))
  const refused = gone.then((why) => { throw new Lost(`${options.host}:${options.port} did not let ${options.username} in: ${why}`) })
  const late = new Lost(`${options.host}:${options.port} did not let ${options.username} in within ${timeout} s`)
  try {
    await within(timeout, Promise.race([spawned.then(() => bot.waitForChunksToLoad()), refused]), late)
  } catch (error) {
    bot.end()
    throw error
  }
  believeDug(bot)
  bot.lost = gone.then((why) => { throw new Lost(`${options.username} is no longer in the game: ${why}`) })
  bot.lost.catch(() => {})
  return bot
}

// A block is dug once the server says so. mineflayer notes it before, and does not hear of what servers until 1.18 answer.
function believeDug (bot) {
  const note = bot._updateBlockState
  bot._updateBlockState = () => {}
  bot._client.on('acknowledge_player_digging', ({ location, block }) => {
    if (location) note(new Vec3(location.x, location.y, location.z), block)
  })
}

// The text of a reason, which is text, a tree of texts, or a translation's name, as JSON or as NBT.
function plain (reason) {
  if (typeof reason === 'string') {
    try { return plain(JSON.parse(reason)) } catch { return reason }
  }
  if (!reason || typeof reason !== 'object') return String(reason ?? '')
  if (Array.isArray(reason)) return reason.map(plain).join('')
  if ('type' in reason && 'value' in reason) return plain(reason.value)
  return [reason.text, reason.translate, reason.with, reason.extra].filter((part) => part !== undefined).map(plain).join(' ').trim()
}

function kicked (reason, username) {
  const text = reason.replace(/§./g, '').replace(/\s+/g, ' ').slice(0, 300)
  if (/white-?list/i.test(text)) return `its whitelist does not have ${username}; its owner adds a player with /whitelist add (it said: ${text})`
  if (/online mode|unverified|verify|premium|not authenticated|invalid_session|invalid session/i.test(text)) {
    return 'it runs in online mode, which wants an account of Microsoft; only servers with online-mode=false can be joined'
  }
  if (/duplicate_login|name_taken|already (connected|logged|playing)|another location/i.test(text)) return `somebody is in the game as ${username} already`
  return `it said: ${text || 'nothing'}`
}
