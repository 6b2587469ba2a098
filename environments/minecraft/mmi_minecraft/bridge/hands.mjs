// What a bot does to the world. Each method returns when the server has answered, or says why it cannot be done.

import { Refusal, within } from './lines.mjs'
import { need } from './modules.mjs'
import { FACES, YAW, placed } from './placement.mjs'
import { blockAt, eyesOf, text } from './senses.mjs'
import { describe, parse, propertiesOf } from './states.mjs'

const { Vec3 } = need('vec3')
const items = need('prismarine-item')

const REACH = 5 // blocks from the eyes to the spot that is clicked; servers allow a little more
const OUTSIDE = -999 // the slot of a click beside the window
const TABLE = 4 // blocks on each axis within which a crafting table is looked for
const ANSWER_S = 3
const TURNS = 3
const TURNED = 0.02 // radians
const UNSURE = 3 // degrees; servers keep a look in steps of 360/256
const AIR = /^(air|cave_air|void_air)$/
const REPLACED = /^(air|cave_air|void_air|water|lava|grass|short_grass|tall_grass|fern|dead_bush|seagrass|snow|fire)$/
const ANSWERS_CLICKS = /(_door|_gate|_trapdoor|_button|_bed|_sign|chest|_table|furnace|anvil|barrel|lever|repeater|comparator|shulker_box|hopper|dispenser|dropper|loom|stonecutter|grindstone|lectern|beacon|smoker|scaffolding|jukebox|note_block|cake|campfire|bell|pot|composter|cauldron|crafter)$/

// ---- looking

export async function look (bot, { position }) {
  await bot.lookAt(new Vec3(...position), true)
}

// ---- placing

export async function place (bot, { position, block, item }) {
  const before = blockAt(bot, position)
  if (doubles(bot, before, parse(block))) return await double(bot, position, before, item)
  if (!REPLACED.test(before.name)) throw new Refusal(`${before.name} is in the way at ${text(position)}: dig it first`)
  if (inBody(bot, position, bot.registry.blocksByName[parse(block).name])) throw new Refusal(`you stand at ${text(position)}: move away first`)
  const click = findClick(bot, position, parse(block), item)
  await hold(bot, item)
  return await put(bot, position, click)
}

function doubles (bot, before, wanted) {
  return before.name === wanted.name && wanted.properties.type === 'double' && propertiesOf(bot.registry.blocks[before.type], before.stateId).type !== 'double'
}

// Makes a slab double by another one of its kind.
async function double (bot, position, reference, item) {
  const face = propertiesOf(bot.registry.blocks[reference.type], reference.stateId).type === 'bottom' ? 'up' : 'down'
  await hold(bot, item)
  const way = reference.position.offset(0.5, 0.5, 0.5).minus(eyesOf(bot))
  return await put(bot, position, { face, step: FACES[face], reference, cursor: [0.5, 0.5, 0.5], ...looksAlong(way) })
}

// A click on a block beside the position that gives the block its state: the way to look, the face, and the spot on it.
function findClick (bot, position, wanted, item) {
  const sides = besides(bot, position)
  const fitting = sides.flatMap((each) => clicks(bot, each)).filter((click) => fits(bot, item, wanted, click))
  const near = fitting.filter((click) => holds(click.reference))
  if (!near.length) {
    const helpers = fitting.filter((click) => AIR.test(click.reference.name)).map((click) => click.reference.position.toArray())
    const why = sides.some((each) => holds(each.reference))
      ? `${wanted.name} cannot be placed that way at ${text(position)}: no block beside it can be clicked so that it gets this state`
      : `nothing to place against at ${text(position)}: all six sides are empty`
    throw Object.assign(new Refusal(why), { data: { helpers: helpers.filter((each, index) => helpers.findIndex((other) => `${other}` === `${each}`) === index) } })
  }
  const reached = near.filter((click) => click.away <= REACH)
  if (!reached.length) {
    const away = Math.min(...near.map((click) => click.away)).toFixed(1)
    throw new Refusal(`${text(position)} is out of reach: ${away} blocks from your eyes, at most ${REACH} can be reached; move nearer first`)
  }
  return reached.sort((a, b) => a.trouble - b.trouble)[0]
}

function besides (bot, position) {
  return Object.entries(FACES).flatMap(([face, step]) => {
    const at = new Vec3(...position).minus(new Vec3(...step))
    const reference = bot.blockAt(at, false)
    return reference ? [{ face, step, reference }] : []
  })
}

function holds (block) {
  return block.boundingBox === 'block' && !REPLACED.test(block.name)
}

function clicks (bot, { face, step, reference }) {
  const eyes = eyesOf(bot)
  const low = 0.25
  const spots = [[0.5, low], [low, low], [0.5, 1 - low], [1 - low, 1 - low], [low, 1 - low], [1 - low, low]]
  return spots.flatMap(([a, b]) => {
    const cursor = step[1] ? [a, step[1] / 2 + 0.5, b] : step[0] ? [step[0] / 2 + 0.5, b, a] : [a, b, step[2] / 2 + 0.5]
    const spot = reference.position.offset(...cursor)
    const way = spot.minus(eyes)
    const natural = looksAlong(way)
    const hidden = way.dot(new Vec3(...step)) > 0 ? 1 : 0
    const turned = Object.values(YAW).flatMap((yaw) => [0, 80, -80].map((pitch) => ({ yaw, pitch, trouble: 2 + Math.abs(pitch) / 80 })))
    return [{ ...natural, trouble: 0 }, ...turned].map((looks) => ({
      face, step, reference, cursor, away: way.norm(), ...looks, trouble: looks.trouble + 4 * hidden
    }))
  })
}

function looksAlong (way) {
  return { yaw: (360 - Math.atan2(way.x, way.z) * 180 / Math.PI) % 360, pitch: -Math.asin(way.y / way.norm()) * 180 / Math.PI }
}

// A look that is a little off, as servers have it, must give the same.
function fits (bot, item, wanted, click) {
  return [-UNSURE, 0, UNSURE].every((off) => gives(bot, item, wanted, { ...click, yaw: click.yaw + off }))
}

function gives (bot, item, wanted, click) {
  const becomes = placed(bot.registry, item, click)
  if (!becomes) return true // an item that is no block, such as a bucket
  if (becomes.name !== wanted.name) return false
  return Object.entries(becomes.properties).every(([key, value]) => (wanted.properties[key] ?? value) === value)
}

async function put (bot, position, { face, step, reference, cursor, yaw, pitch }) {
  const sneaks = ANSWERS_CLICKS.test(reference.name)
  if (sneaks) bot.setControlState('sneak', true)
  await turn(bot, Math.PI - yaw * Math.PI / 180, -pitch * Math.PI / 180, sneaks ? 2 : 1)
  try {
    const silent = new Refusal(`the server did not change the block at ${text(position)}: something may be in the way, or building is not allowed there`)
    const changed = change(bot, position, (before, after) => before?.stateId !== after?.stateId, ANSWER_S, silent)
    await bot._genericPlace(reference, new Vec3(...step), { delta: new Vec3(...cursor), forceLook: 'ignore', swingArm: 'right' })
    await changed
  } finally {
    if (sneaks) bot.setControlState('sneak', false)
  }
  return describe(bot.registry, blockAt(bot, position).stateId)
}

// Looks somewhere and lets the server know, before it hears of a click. A server that just moved the player turns it back.
async function turn (bot, yaw, pitch, wait) {
  for (let left = TURNS; left; left--) {
    await bot.look(yaw, pitch, true)
    await ticks(bot, wait)
    if (Math.abs(Math.sin((bot.entity.yaw - yaw) / 2)) < TURNED && Math.abs(bot.entity.pitch - pitch) < TURNED) return
  }
}

// The next change of the block at a position that is one.
function change (bot, position, isOne, seconds, silent) {
  const name = `blockUpdate:${new Vec3(...position)}`
  let changed
  const happened = new Promise((resolve) => {
    changed = (before, after) => { if (isOne(before, after)) resolve() }
    bot.on(name, changed)
  })
  return within(seconds, Promise.race([happened, bot.lost]), silent).finally(() => bot.removeListener(name, changed))
}

function inBody (bot, position, block) {
  if (!block || block.boundingBox === 'empty') return false
  const [x, y, z] = position
  const { x: px, y: py, z: pz } = bot.entity.position
  return Math.abs(px - x - 0.5) < 0.8 && Math.abs(pz - z - 0.5) < 0.8 && py < y + 1 && py + 1.8 > y
}

// ---- what is held

export async function equip (bot, { item, destination }) {
  if (destination === 'hand') return await hold(bot, item)
  const owned = bot.inventory.items().find((each) => each.name === item)
  if (!owned) throw new Refusal(`no ${item} in the inventory`)
  await bot.equip(owned, destination)
}

async function hold (bot, item) {
  if (bot.heldItem?.name === item) return
  const owned = bot.inventory.items().find((each) => each.name === item)
  if (owned) return await bot.equip(owned, 'hand')
  if (bot.game.gameMode !== 'creative') throw new Refusal(`no ${item} in the inventory`)
  const kind = bot.registry.itemsByName[item]
  if (!kind) throw new Refusal(`this version has no item ${item}`)
  const Item = items(bot.registry)
  await bot.creative.setInventorySlot(36 + bot.quickBarSlot, new Item(kind.id, 1))
}

// ---- digging

export async function dig (bot, { position }) {
  const block = blockAt(bot, position)
  if (AIR.test(block.name) || /^(water|lava)$/.test(block.name)) throw new Refusal(`there is nothing to dig at ${text(position)}: it is ${block.name}`)
  const away = eyesOf(bot).distanceTo(block.position.offset(0.5, 0.5, 0.5))
  if (away > REACH + 0.5) throw new Refusal(`${text(position)} is out of reach: ${away.toFixed(1)} blocks from your eyes, at most ${REACH} can be reached; move nearer first`)
  if (!block.diggable && bot.game.gameMode !== 'creative') throw new Refusal(`${block.name} cannot be dug`)
  await wield(bot, block)
  const seconds = bot.digTime(block) / 1000
  if (!Number.isFinite(seconds)) throw new Refusal(`${block.name} cannot be dug`)
  const silent = new Refusal(`the server did not let you dig the ${block.name} at ${text(position)}`)
  const gone = change(bot, position, (before, after) => after && after.type !== block.type, seconds + ANSWER_S, silent)
  try {
    await Promise.race([gone, bot.dig(block, true)])
  } finally {
    bot.stopDigging()
    bot.removeAllListeners(`blockUpdate:${block.position}`) // mineflayer would take a later change for the end of other digging
  }
  return { dug: block.name, seconds }
}

// Takes the tool that is quickest.
async function wield (bot, block) {
  if (bot.game.gameMode === 'creative') return
  const tool = bot.pathfinder.bestHarvestTool(block)
  if (tool) await bot.equip(tool, 'hand')
}

// ---- crafting

export async function craft (bot, { item, count }) {
  const kind = bot.registry.itemsByName[item]
  if (!kind) throw new Refusal(`this version has no item ${item}`)
  const table = findTable(bot)
  const recipe = bot.recipesFor(kind.id, null, count, table)[0]
  if (!recipe) throw new Refusal(lacking(bot, kind, count, table))
  const times = Math.ceil(count / recipe.result.count)
  const before = owned(bot, kind.id)
  const late = new Refusal(`the server did not answer while ${item} was crafted`)
  await within(10 + 3 * times, Promise.race([bot.craft(recipe, times, recipe.requiresTable ? table : null), bot.lost]), late)
  await inventoryTold(bot, late)
  const made = owned(bot, kind.id) - before
  if (made <= 0) throw new Refusal(`the server gave no ${item}: it may lack the recipe`)
  return { made }
}

// Clicks beside the window, in a state that never was: the game answers with all that is carried. Until 1.17 it answers
// every click, and mineflayer waits for that; later ones are taken for granted.
async function inventoryTold (bot, late) {
  if (!bot.supportFeature('stateIdUsed')) return
  const told = new Promise((resolve) => bot.once('setWindowItems:0', resolve))
  const cursorItem = items(bot.registry).toNotch(null)
  bot._client.write('window_click', { windowId: 0, stateId: -1, slot: OUTSIDE, mouseButton: 0, mode: 0, changedSlots: [], cursorItem })
  await within(ANSWER_S, Promise.race([told, bot.lost]), late)
}

// mineflayer's own search overlooks blocks that were placed since the chunk came.
function findTable (bot) {
  const feet = bot.entity.position.floored()
  for (let y = -TABLE; y <= TABLE; y++) {
    for (let z = -TABLE; z <= TABLE; z++) {
      for (let x = -TABLE; x <= TABLE; x++) {
        const block = bot.blockAt(feet.offset(x, y, z), false)
        if (block?.name === 'crafting_table' && eyesOf(bot).distanceTo(block.position.offset(0.5, 0.5, 0.5)) <= REACH) return block
      }
    }
  }
  return null
}

// What is missing for the recipe that is nearest to what is there.
function lacking (bot, kind, count, table) {
  const all = bot.recipesAll(kind.id, null, true).map((recipe) => {
    const times = Math.ceil(count / recipe.result.count)
    return recipe.delta.map((each) => ({ id: each.id, needed: -each.count * times })).filter((each) => each.needed > 0)
  })
  if (!all.length) return `${kind.name} cannot be crafted`
  const short = (taken) => taken.filter((each) => owned(bot, each.id) < each.needed)
  const nearest = all.sort((a, b) => short(a).length - short(b).length)[0]
  if (!short(nearest).length && !table) return `${kind.name} is crafted at a crafting table: place one within 4 blocks first`
  const told = short(nearest).map(({ id, needed }) => `${needed} ${bot.registry.items[id].name} (there are ${owned(bot, id)})`)
  return `${count} ${kind.name} cannot be crafted: it takes ${told.join(', ')}`
}

function owned (bot, id) {
  return bot.inventory.items().filter((each) => each.type === id).reduce((sum, each) => sum + each.count, 0)
}

// ---- the rest

export async function chat (bot, { text: said }) {
  bot.chat(said)
  await ticks(bot, 2)
}

export async function wait (bot, { seconds }) {
  await Promise.race([new Promise((resolve) => setTimeout(resolve, seconds * 1000)), bot.lost])
}

export async function ticks (bot, number) {
  await Promise.race([bot.waitForTicks(number), bot.lost])
}
