// The player behind the tests' Malmo server: led tick by tick, as Malmo leads one, in a game that runs.
//
//     node malmo_player.mjs FOLDER
//
//     join      as in bridge.mjs
//     tick      controls camera attack use place equip craft     one tick; what the world refuses is passed over, as Malmo does
//     moment    rays                                             what Malmo tells, and what the lidar meets
//     face      yaw pitch
//     view      port distance

import { join } from '../../environments/minecraft/mmi_minecraft/bridge/join.mjs'
import { craft } from '../../environments/minecraft/mmi_minecraft/bridge/hands.mjs'
import { serve } from '../../environments/minecraft/mmi_minecraft/bridge/lines.mjs'
import { need } from '../../environments/minecraft/mmi_minecraft/bridge/modules.mjs'
import { eyesOf } from '../../environments/minecraft/mmi_minecraft/bridge/senses.mjs'
import { View } from '../../environments/minecraft/mmi_minecraft/bridge/view.mjs'

const { Vec3 } = need('vec3')
const REACH = 4.5
const RADIANS = Math.PI / 180
const HAND = 36 // the first slot of the hot bar, which Malmo counts as 0
const ORDER = [...Array(9).keys()].map((slot) => slot + 36).concat([...Array(27).keys()].map((slot) => slot + 9), [8, 7, 6, 5, 45])

let bot = null
let view = null
let digging = null
let died = false

async function enter (params) {
  bot = await join(params)
  bot.setQuickBarSlot(0)
  bot.on('death', () => { died = true })
}

// To the very angle, as Malmo does; `bot.look` turns by steps of a mouse, from where it looked before.
function turn (yaw, pitch) {
  bot.entity.yaw = yaw
  bot.entity.pitch = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, pitch))
}

function face ({ yaw, pitch }) {
  died = false
  turn(Math.PI - yaw * RADIANS, -pitch * RADIANS)
}

async function tick ({ controls, camera, attack, use, place, equip, craft: made }) {
  turn(bot.entity.yaw - camera[1] * RADIANS, bot.entity.pitch - camera[0] * RADIANS)
  for (const [name, on] of Object.entries(controls)) bot.setControlState(name, on)
  dig(attack)
  if (use) await quietly(touch())
  if (equip) await quietly(take(equip))
  if (place) await quietly(put(place))
  if (made) await quietly(craft(bot, { item: made, count: 1 }))
  await bot.waitForTicks(1)
}

function ahead () {
  return bot.world.raycast(eyesOf(bot), new Vec3(...looking()), REACH) // `bot.blockAtCursor` sees nothing to the very north
}

function looking () {
  const { yaw, pitch } = bot.entity
  return [-Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch), -Math.cos(yaw) * Math.cos(pitch)]
}

// Goes on with the block ahead for as long as the button is held.
function dig (held) {
  const block = held && ahead()
  if (digging && !(block && block.position.equals(digging))) bot.stopDigging()
  if (!block || (digging && block.position.equals(digging))) return
  digging = block.position
  quietly(bot.dig(block, 'ignore')).then(() => { digging = null })
}

async function touch () {
  const block = ahead()
  if (block) await bot.activateBlock(block)
}

async function take (item) {
  const owned = bot.inventory.items().find((each) => each.name === item)
  if (owned && owned.slot !== HAND) await bot.moveSlotItem(owned.slot, HAND)
}

async function put (item) {
  const block = ahead()
  if (!block) return
  await take(item)
  const left = owned(item)
  const step = [[0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1], [-1, 0, 0], [1, 0, 0]][block.face]
  await bot._genericPlace(block, new Vec3(...step), { forceLook: 'ignore' })
  for (let tick = 0; tick < 60 && owned(item) === left; tick++) await bot.waitForTicks(1)
}

function owned (item) {
  return bot.inventory.items().filter((each) => each.name === item).reduce((sum, each) => sum + each.count, 0)
}

async function quietly (deed) {
  try {
    await deed
  } catch (error) {
    console.error(`passed over: ${error.message}`)
  }
}

function moment ({ rays }) {
  const { position, yaw, pitch } = bot.entity
  const name = (at) => bot.blockAt(at)?.name ?? 'air'
  const feet = position.floored()
  const around = []
  for (let z = -1; z <= 1; z++) for (let y = -1; y <= 1; y++) for (let x = -1; x <= 1; x++) around.push(name(feet.offset(x, y, z)))
  return {
    position: position.toArray(),
    yaw: 180 - yaw / RADIANS,
    pitch: -pitch / RADIANS,
    health: bot.health,
    food: bot.food,
    air: 15 * (bot.oxygenLevel ?? 20),
    raining: Boolean(bot.isRaining),
    inventory: ORDER.map((slot) => bot.inventory.slots[slot]).map((item) => item ? { name: item.name, count: item.count } : null),
    around,
    table: Boolean(bot.findBlock({ matching: bot.registry.blocksByName.crafting_table.id, maxDistance: 4 })),
    died,
    rays: rays.map((ray) => meet(ray))
  }
}

// As the game casts them: tilted about the x axis of the world, then turned about the upright.
function meet ([tilt, turn, distance]) {
  let [x, y, z] = looking()
  ;[y, z] = [y * Math.cos(tilt) + z * Math.sin(tilt), z * Math.cos(tilt) - y * Math.sin(tilt)]
  ;[x, z] = [x * Math.cos(turn) + z * Math.sin(turn), z * Math.cos(turn) - x * Math.sin(turn)]
  const from = eyesOf(bot)
  const hit = bot.world.raycast(from, new Vec3(x, y, z), distance)
  return hit ? { name: hit.name, cell: hit.position.toArray(), distance: from.distanceTo(hit.intersect) } : null
}

async function show ({ port, distance }) {
  view = new View(bot, distance)
  return { port: await view.listen(port) }
}

serve({ join: enter, tick, moment, face, view: show, flush: () => view?.flush() })
