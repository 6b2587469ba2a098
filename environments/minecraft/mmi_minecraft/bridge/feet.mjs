// How a bot gets about: on foot, by a pillar under its feet, and in creative mode through the air.

import { Refusal, within } from './lines.mjs'
import { need } from './modules.mjs'
import { place, ticks } from './hands.mjs'
import { blockAt, text } from './senses.mjs'

const { Vec3 } = need('vec3')
const { Movements, goals } = need('mineflayer-pathfinder')

const THINK_S = 10
const JUMPS = 3
const PASSED = /(_door|_gate|_trapdoor|_carpet|ladder|scaffolding|_slab|snow|farmland|dirt_path|_bed)$/
const HOLDS = /^(water|ladder|vine|scaffolding)$/
const STEP = 0.45 // blocks in one tick of flight

// Walks until the feet are in a cell, or within so many blocks of it. Nothing is dug or placed on the way.
export async function walk (bot, { position, within_blocks: near, limit_s: timeout }) {
  if (near) blockAt(bot, position)
  else checkStand(bot, position)
  stopFlying(bot)
  const movements = new Movements(bot)
  Object.assign(movements, { canDig: false, allow1by1towers: false, scafoldingBlocks: [], allowParkour: false, maxDropDown: 3, infiniteLiquidDropdownDistance: false })
  bot.pathfinder.setMovements(movements)
  bot.pathfinder.thinkTimeout = THINK_S * 1000
  const goal = near ? new goals.GoalNear(...position, near) : new goals.GoalBlock(...position)
  const late = new Refusal(`${text(position)} was not reached within ${timeout} s: you are at ${here(bot)}`)
  try {
    await within(timeout, Promise.race([bot.pathfinder.goto(goal), bot.lost]), late)
  } catch (error) {
    if (error.name === 'NoPath' || error.name === 'Timeout') throw new Refusal(`there is no way on foot to ${text(position)}: you are at ${here(bot)}`)
    if (error.name === 'GoalChanged' || error.name === 'PathStopped') throw late
    throw error
  } finally {
    bot.pathfinder.setGoal(null)
    bot.clearControlStates()
  }
  await settle(bot)
  if (!near) await center(bot)
}

// Refuses a cell in which nobody can stand; otherwise the whole plain would be searched for a way.
function checkStand (bot, [x, y, z]) {
  const [below, feet, head] = [-1, 0, 1].map((up) => blockAt(bot, [x, y + up, z]))
  const blocking = [feet, head].find((block) => block.boundingBox === 'block' && !PASSED.test(block.name))
  if (blocking) throw new Refusal(`nobody can stand at ${text([x, y, z])}: ${blocking.name} is in the way`)
  if (below.boundingBox !== 'block' && !HOLDS.test(below.name) && !HOLDS.test(feet.name)) {
    throw new Refusal(`nobody can stand at ${text([x, y, z])}: there is ${below.name} below`)
  }
}

// Jumps and puts a block under the feet.
export async function pillar (bot, params) {
  for (let left = JUMPS - 1; ; left--) {
    try {
      return await jumpAndPlace(bot, params)
    } catch (error) {
      if (!left || !(error instanceof Refusal)) throw error // it may have come down too early for the server
    }
  }
}

async function jumpAndPlace (bot, { block, item }) {
  stopFlying(bot)
  await settle(bot)
  const feet = bot.entity.position.floored()
  await center(bot)
  bot.setControlState('jump', true)
  try {
    for (let tick = 0; tick < 20 && bot.entity.position.y < feet.y + 1.05; tick++) await ticks(bot, 1)
    if (bot.entity.position.y < feet.y + 1) throw new Refusal(`there is no room to jump at ${text(feet)}`)
    bot.setControlState('jump', false)
    return await hovering(bot, () => place(bot, { position: [feet.x, feet.y, feet.z], block, item }))
  } finally {
    bot.setControlState('jump', false)
    await settle(bot)
  }
}

// Does something without coming down meanwhile: a server that answers late would put the block into the bot's body.
async function hovering (bot, deed) {
  const height = bot.entity.position.y
  const stay = () => {
    bot.entity.position.y = height
    bot.entity.velocity.y = 0
  }
  bot.on('physicsTick', stay)
  try {
    return await deed()
  } finally {
    bot.removeListener('physicsTick', stay)
  }
}

// Shifts to the middle of the cell it is in.
async function center (bot) {
  const cell = bot.entity.position.floored()
  bot.entity.position.x = cell.x + 0.5
  bot.entity.position.z = cell.z + 0.5
  await ticks(bot, 1)
}

// Flies in a straight line, up and over what is in the way first.
export async function fly (bot, { position, over, limit_s: timeout }) {
  if (bot.game.gameMode !== 'creative') throw new Refusal('only a player in creative mode can fly')
  const goal = new Vec3(position[0] + 0.5, position[1], position[2] + 0.5)
  const from = bot.entity.position
  const stops = over > Math.max(from.y, goal.y) && Math.hypot(goal.x - from.x, goal.z - from.z) > 0.1
    ? [new Vec3(from.x, over, from.z), new Vec3(goal.x, over, goal.z), goal]
    : [goal]
  bot.creative.startFlying()
  bot.flies = true
  bot.entity.velocity.set(0, 0, 0)
  const late = new Refusal(`${text(position)} was not reached within ${timeout} s: you are at ${here(bot)}`)
  const until = Date.now() + timeout * 1000
  for (const stop of stops) {
    while (bot.entity.position.distanceTo(stop) > 1e-6) {
      if (Date.now() > until) throw late
      const way = stop.minus(bot.entity.position)
      const step = way.norm() > STEP ? way.scaled(STEP / way.norm()) : way
      bot.entity.position.add(step)
      bot.entity.velocity.set(0, 0, 0)
      await ticks(bot, 1)
    }
  }
}

function stopFlying (bot) {
  if (!bot.flies) return // mineflayer would take its gravity away
  bot.creative.stopFlying()
  bot.flies = false
}

// Waits until the bot stands still on something.
async function settle (bot) {
  for (let tick = 0; tick < 60 && !(bot.entity.onGround && Math.abs(bot.entity.velocity.y) < 0.1); tick++) await ticks(bot, 1)
}

function here (bot) {
  return text(bot.entity.position.floored())
}
