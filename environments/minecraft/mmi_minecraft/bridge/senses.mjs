// What a bot knows of the world around it.

import { Refusal } from './lines.mjs'
import { need } from './modules.mjs'
import { describe, readBox } from './states.mjs'

const { Vec3 } = need('vec3')

const FAR = 32 // entities beyond are not told of
const MOST_CELLS = 1_000_000
const FOV = 75 * Math.PI / 180 // of prismarine-viewer, from top to bottom
export const EYES = 1.62

export function eyesOf (bot) {
  return bot.entity.position.offset(0, EYES, 0)
}

export function state (bot) {
  const { position, yaw, pitch, onGround } = bot.entity
  return {
    version: bot.version,
    username: bot.username,
    game_mode: bot.game.gameMode,
    position: round([position.x, position.y, position.z]),
    yaw: degrees(Math.PI - yaw),
    pitch: Math.round(-pitch * 1800 / Math.PI) / 10,
    on_ground: Boolean(onGround),
    health: bot.health ?? 20,
    food: bot.food ?? 20,
    held: bot.heldItem?.name ?? null,
    inventory: bot.inventory.items().map((item) => ({ name: item.name, count: item.count, slot: item.slot })),
    entities: entities(bot),
    lowest: bot.game.minY ?? 0,
    highest: (bot.game.minY ?? 0) + (bot.game.height ?? 256) - 1
  }
}

function entities (bot) {
  const known = Object.values(bot.entities).filter((each) => each !== bot.entity && each.type) // others are only heard of, after they are gone
  const near = known.filter((each) => each.position.distanceTo(bot.entity.position) <= FAR)
  near.sort((a, b) => a.position.distanceTo(bot.entity.position) - b.position.distanceTo(bot.entity.position))
  return near.slice(0, 40).map((each) => ({
    id: each.id,
    kind: each.type === 'player' ? 'player' : each.name === 'item' ? 'item' : 'mob',
    name: each.username ?? droppedItem(each) ?? each.name ?? each.type ?? 'unknown',
    position: round([each.position.x, each.position.y, each.position.z]),
    width: each.width || 0.3,
    height: each.height || 0.3
  }))
}

function droppedItem (entity) {
  try {
    return entity.getDroppedItem?.()?.name
  } catch {
    return undefined // its description has not come yet
  }
}

// The blocks that rays through a picture meet, nearest first, with the box that each fills of its cell.
export function sight (bot, { aspect, columns, rows, range }) {
  const from = eyesOf(bot)
  const met = new Map()
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const across = (2 * (column + 0.5) / columns - 1) * Math.tan(FOV / 2) * aspect
      const up = (1 - 2 * (row + 0.5) / rows) * Math.tan(FOV / 2)
      const hit = bot.world.raycast(from, turned(across, up, bot.entity.yaw, bot.entity.pitch), range)
      if (!hit) continue
      const key = `${hit.position}`
      const known = met.get(key)
      if (known) known.rays++
      else met.set(key, { rays: 1, ...seen(bot, hit, from) })
    }
  }
  return [...met.values()].sort((a, b) => a.distance - b.distance)
}

function seen (bot, hit, from) {
  const boxes = hit.shapes.length ? hit.shapes : [[0, 0, 0, 1, 1, 1]]
  const edge = (index) => Math[index < 3 ? 'min' : 'max'](...boxes.map((box) => box[index]))
  const { x, y, z } = hit.position
  return {
    position: [x, y, z],
    state: describe(bot.registry, hit.stateId),
    box: [0, 1, 2, 3, 4, 5].map((index) => edge(index) + [x, y, z][index % 3]),
    distance: Math.round(from.distanceTo(hit.intersect) * 10) / 10
  }
}

// A direction in front of a camera that looks north, turned as the bot looks.
function turned (across, up, yaw, pitch) {
  const y = up * Math.cos(pitch) + Math.sin(pitch)
  const ahead = -Math.cos(pitch) + up * Math.sin(pitch)
  const direction = new Vec3(across * Math.cos(yaw) + ahead * Math.sin(yaw), y, ahead * Math.cos(yaw) - across * Math.sin(yaw))
  return direction.scaled(1 / direction.norm())
}

// The blocks of a box; refuses what is not loaded.
export function read (bot, { low, high }) {
  const cells = [0, 1, 2].reduce((volume, axis) => volume * (high[axis] - low[axis] + 1), 1)
  if (!(cells > 0 && cells <= MOST_CELLS)) throw new Refusal(`a box of ${cells} cells cannot be read at once: expected 1 to ${MOST_CELLS}`)
  for (let x = low[0] >> 4; x <= high[0] >> 4; x++) {
    for (let z = low[2] >> 4; z <= high[2] >> 4; z++) {
      const corner = [Math.max(low[0], x << 4), low[1], Math.max(low[2], z << 4)]
      if (!bot.world.getColumn(x, z)) throw new Refusal(unloaded(bot, corner))
    }
  }
  return readBox(bot.registry, low, high, (x, y, z) => bot.world.getBlockStateId(new Vec3(x, y, z)))
}

// The block at a position; refuses what is not loaded.
export function blockAt (bot, position) {
  const [x, y, z] = position
  const { lowest, highest } = { lowest: bot.game.minY ?? 0, highest: (bot.game.minY ?? 0) + (bot.game.height ?? 256) - 1 }
  if (y < lowest || y > highest) throw new Refusal(`${text(position)} is outside of the world, which goes from ${lowest} to ${highest} in height`)
  const block = bot.blockAt(new Vec3(x, y, z), false)
  if (!block) throw new Refusal(unloaded(bot, position))
  return block
}

function unloaded (bot, position) {
  const here = bot.entity.position
  const away = Math.round(Math.hypot(position[0] - here.x, position[2] - here.z))
  return `the chunk at ${text(position)} is not loaded: it is ${away} blocks away; move nearer first`
}

export function text (position) {
  return Array.isArray(position) ? position.join(' ') : `${position.x} ${position.y} ${position.z}`
}

function round (numbers) {
  return numbers.map((number) => Math.round(number * 1000) / 1000)
}

function degrees (radians) {
  const turn = Math.round(radians * 1800 / Math.PI) / 10
  return ((turn % 360) + 360) % 360
}
