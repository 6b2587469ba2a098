// A practice server: flying-squid, on this machine only, led by lines of JSON as in bridge.mjs.
//
//     node server.mjs FOLDER
//
//     start      version port game_mode layers? seed? whitelist? online_mode?    {port}; 0: any
//                 layers: [[state, thickness], ...] of a flat world from the bottom; without: hills by the seed
//     read       low high                                 {palette, cells}, as in bridge.mjs: the server's own blocks
//     fill       low high block                           the number of cells
//     set        blocks                                   [[[x, y, z], state], ...]
//     give       username item count
//     clear      username                                 empties the inventory
//     mode       username game_mode                       survival or creative
//     teleport   username position
//     kick       username reason
//     players                                             [{username, position, inventory}]
//     sweep                                               takes away whatever lies about, and every creature
//     surface    x z                                      the height of the topmost block that is no air
//
// flying-squid itself places slabs, torches, ladders and doors in one way only, opens no door and crafts nothing:
// practice.mjs and crafting.mjs make it do these as the game does. It still joins no fence to another, and nothing falls.

import { Misuse, serve } from './lines.mjs'
import { need } from './modules.mjs'
import { practice } from './practice.mjs'
import { parse, readBox, stateIdOf } from './states.mjs'

const squid = need('flying-squid')
const known = need('minecraft-data').versions.pc
const { Vec3 } = need('vec3')
const makeItem = need('prismarine-item')
const makeChunk = need('prismarine-chunk')

const [OLDEST, NEWEST] = ['1.16.4', '1.21.4']
const MODES = { survival: 0, creative: 1 }
const MOST_CELLS = 1_000_000
const START_S = 30
const HIGHEST = 127 // in a flat world nothing is built above
const CARRIED = [...Array(9).keys()].map((slot) => slot + 36).concat([...Array(27).keys()].map((slot) => slot + 9))

let server = null

async function start ({ version, port, game_mode: mode, layers, seed, whitelist, online_mode: online }) {
  if (server) throw new Misuse('the server runs already')
  if (!Object.hasOwn(MODES, mode)) throw new Misuse(`game mode ${mode}: expected survival or creative`)
  if (!(rank(version) >= rank(OLDEST) && rank(version) <= rank(NEWEST))) throw new Misuse(`no server of Minecraft ${version} can be started here: expected ${OLDEST} to ${NEWEST}`)
  squid.generations.layers = ({ registry }) => flat(registry, layers)
  const made = squid.createMCServer({
    host: '127.0.0.1',
    port,
    version,
    motd: 'practice',
    'max-players': 20,
    'online-mode': Boolean(online),
    logging: false,
    noConsoleOutput: true,
    gameMode: MODES[mode],
    difficulty: 0,
    generation: layers ? { name: 'layers', options: {} } : { name: 'diamond_square', options: { worldHeight: 80, seed } },
    kickTimeout: 30000,
    plugins: {},
    modpe: false,
    'view-distance': 8,
    'everybody-op': false,
    'max-entities': 500,
    'player-list-text': { header: { text: '' }, footer: { text: '' } },
    beforeLogin: whitelist && ((client) => {
      if (!whitelist.includes(client.username)) client.end('', JSON.stringify({ translate: 'multiplayer.disconnect.not_whitelisted' }))
    })
  })
  const failed = new Promise((resolve, reject) => made.on('error', (error) => {
    console.error(error)
    reject(new Misuse(error.code === 'EADDRINUSE' ? `port ${port} is in use by another program` : error.message))
  }))
  await Promise.race([made.waitForReady(START_S * 1000), failed])
  failed.catch(() => {})
  practice(made)
  server = made
  made.overworld.unloadColumn = () => {} // nothing is saved: what nobody is near to would be as it was at first
  made.getSpawnPoint = async (world) => new Vec3(8.5, await surface({ x: 8, z: 8 }) + 1, 8.5)
  return { port: made._server.socketServer.address().port }
}

function rank (version) {
  return known.find((each) => each.minecraftVersion === version)?.version
}

// A flat world of these layers, the same everywhere.
function flat (registry, layers) {
  const Chunk = makeChunk(registry)
  const states = layers.flatMap(([block, thickness]) => {
    const { name, properties } = parse(block)
    return Array(thickness).fill(stateIdOf(registry, name, properties))
  })
  const plains = registry.biomesByName.plains.id
  return () => {
    const chunk = new Chunk()
    for (const at = new Vec3(0, 0, 0); at.x < 16; at.x++) {
      for (at.z = 0; at.z < 16; at.z++) {
        for (at.y = 0; at.y <= HIGHEST; at.y++) {
          if (at.y < states.length) chunk.setBlockStateId(at, states[at.y])
          chunk.setSkyLight(at, 15)
          chunk.setBiome(at, plains)
        }
      }
    }
    return chunk
  }
}

// ---- blocks

async function read ({ low, high }) {
  counted(low, high)
  const columns = new Map()
  for (let x = low[0] >> 4; x <= high[0] >> 4; x++) {
    for (let z = low[2] >> 4; z <= high[2] >> 4; z++) columns.set(`${x},${z}`, await server.overworld.getColumn(x, z))
  }
  return readBox(server.registry, low, high, (x, y, z) => columns.get(`${x >> 4},${z >> 4}`).getBlockStateId(new Vec3(x & 15, y, z & 15)))
}

async function fill ({ low, high, block }) {
  const cells = counted(low, high)
  const { name, properties } = parse(block)
  const stateId = stateIdOf(server.registry, name, properties)
  for (let y = low[1]; y <= high[1]; y++) {
    for (let z = low[2]; z <= high[2]; z++) {
      for (let x = low[0]; x <= high[0]; x++) await change(new Vec3(x, y, z), stateId)
    }
  }
  return cells
}

function counted (low, high) {
  const cells = [0, 1, 2].reduce((volume, axis) => volume * (high[axis] - low[axis] + 1), 1)
  if (!(cells > 0 && cells <= MOST_CELLS)) throw new Misuse(`a box of ${cells} cells: expected 1 to ${MOST_CELLS}`)
  return cells
}

async function set ({ blocks }) {
  for (const [position, block] of blocks) {
    const { name, properties } = parse(block)
    await change(new Vec3(...position), stateIdOf(server.registry, name, properties))
  }
}

// Changes a block without the updates of its neighbours, which flying-squid sorts anew with each.
async function change (location, stateId) {
  if (await server.overworld.getBlockStateId(location) === stateId) return
  await server.overworld.setBlockStateId(location, stateId)
  for (const player of server.players) player._client.write('block_change', { location, type: stateId })
}

async function surface ({ x, z }) {
  for (let y = HIGHEST; y > 0; y--) {
    if (await server.overworld.getBlockStateId(new Vec3(x, y, z))) return y
  }
  return 0
}

// ---- players

function playerOf (username) {
  const player = server.players.find((each) => each.username === username)
  if (!player) throw new Misuse(`no player ${username} is in the game`)
  return player
}

function give ({ username, item, count }) {
  const { inventory } = playerOf(username)
  const kind = server.registry.itemsByName[item]
  if (!kind) throw new Misuse(`this version has no item ${item}`)
  const Item = makeItem(server.registry)
  let left = count
  for (const slot of CARRIED) {
    const there = inventory.slots[slot]
    if (left <= 0) break
    if (there && there.type !== kind.id) continue
    const added = Math.min(left, kind.stackSize - (there?.count ?? 0))
    if (added <= 0) continue
    inventory.updateSlot(slot, new Item(kind.id, (there?.count ?? 0) + added))
    left -= added
  }
  if (left > 0) throw new Misuse(`no room for ${left} more ${item}`)
}

function clear ({ username }) {
  const { inventory } = playerOf(username)
  inventory.slots.forEach((item, slot) => { if (item) inventory.updateSlot(slot, null) })
}

function setMode ({ username, game_mode: mode }) {
  if (!Object.hasOwn(MODES, mode)) throw new Misuse(`game mode ${mode}: expected survival or creative`)
  playerOf(username).setGameMode(MODES[mode])
}

async function teleport ({ username, position }) {
  await playerOf(username).teleport(new Vec3(...position))
}

function players () {
  return server.players.map((player) => ({
    username: player.username,
    position: [player.position.x, player.position.y, player.position.z],
    inventory: player.inventory.items().map((item) => ({ name: item.name, count: item.count, slot: item.slot }))
  }))
}

function sweep () {
  Object.values(server.entities).filter((entity) => entity.type !== 'player').forEach((entity) => entity.destroy())
}

function kick ({ username, reason }) {
  playerOf(username).kick(reason)
}

function running (method) {
  return (params) => {
    if (!server) throw new Misuse('start comes first')
    return method(params)
  }
}

const deeds = { read, fill, set, surface, give, clear, mode: setMode, teleport, players, sweep, kick }
serve({ start, ...Object.fromEntries(Object.entries(deeds).map(([name, method]) => [name, running(method)])) })
