// What becomes of a block that somebody puts down by hand, as the game has it: which way stairs, doors, logs and
// torches face. Both sides use it: a bot to find the click that gives the state it wants, and our practice server.
//
// A click is { face, cursor, yaw, pitch }: the face of the block that is clicked, where on it (0..1 on each axis),
// and how the player looks, in degrees as the game counts (yaw 0 is south, 90 west; pitch 90 is down).

export const FACES = {
  down: [0, -1, 0], up: [0, 1, 0], north: [0, 0, -1], south: [0, 0, 1], west: [-1, 0, 0], east: [1, 0, 0]
}
export const OPPOSITE = { down: 'up', up: 'down', north: 'south', south: 'north', west: 'east', east: 'west' }
export const YAW = { south: 0, west: 90, north: 180, east: 270 }

const AROUND = ['south', 'west', 'north', 'east']
const AS_LOOKED = /(_stairs|_fence_gate|_door|_bed|campfire|observer|calibrated_sculk_sensor)$/
const AS_CLICKED = /(ladder|wall_|shulker_box|amethyst_|end_rod|lightning_rod)/
const BY_PITCH = /(piston|dispenser|dropper|observer|barrel|command_block|crafter)$/

export function looking (yaw) {
  return AROUND[Math.floor(yaw / 90 + 0.5) & 3]
}

// The name of the block, and those of its properties that the click decides.
export function placed (registry, item, click) {
  const name = onWall(registry, item, click.face) ?? item
  const block = registry.blocksByName[name]
  if (!block) return null
  const has = Object.fromEntries((block.states ?? []).map((state) => [state.name, state]))
  const properties = {}
  const side = click.face !== 'up' && click.face !== 'down'
  const upper = click.face === 'down' || (side && click.cursor[1] > 0.5)
  if (has.axis) properties.axis = 'yyzzxx'[Object.keys(FACES).indexOf(click.face)]
  if (has.type?.values?.includes('double')) properties.type = upper ? 'top' : 'bottom'
  if (has.half) properties.half = has.half.values.includes('top') ? (upper ? 'top' : 'bottom') : 'lower'
  if (has.part) properties.part = 'foot'
  if (has.hanging) properties.hanging = String(click.face === 'down')
  if (has.face) properties.face = side ? 'wall' : click.face === 'up' ? 'floor' : 'ceiling'
  if (has.rotation) properties.rotation = String(Math.floor((180 + click.yaw) * 16 / 360 + 0.5) & 15)
  if (has.facing) properties.facing = facing(name, has, click, side)
  if (has.hinge) properties.hinge = hinge(properties.facing, click.cursor)
  return { name, properties }
}

function onWall (registry, item, face) {
  if (face === 'up' || face === 'down') return null
  const name = item.replace(/(torch|sign|banner|head|skull|fan)$/, 'wall_$1')
  return name !== item && registry.blocksByName[name] ? name : null
}

function facing (name, has, click, side) {
  const look = looking(click.yaw)
  const nearest = Math.abs(click.pitch) > 45 ? (click.pitch > 0 ? 'down' : 'up') : look
  if (name === 'hopper') return side ? OPPOSITE[click.face] : 'down'
  if (name.endsWith('anvil')) return AROUND[(AROUND.indexOf(look) + 1) & 3]
  if (name.endsWith('_trapdoor')) return side ? click.face : OPPOSITE[look]
  if (has.face) return side ? click.face : look
  if (AS_CLICKED.test(name)) return click.face
  const way = BY_PITCH.test(name) ? nearest : look
  return AS_LOOKED.test(name) ? way : OPPOSITE[way]
}

// Where nothing beside a door says otherwise, the half of the block that is clicked decides.
function hinge (way, [x, , z]) {
  const right = { east: z > 0.5, west: z < 0.5, south: x < 0.5, north: x > 0.5 }[way]
  return right ? 'right' : 'left'
}
