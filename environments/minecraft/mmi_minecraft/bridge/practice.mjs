// What flying-squid leaves out and a builder needs: blocks that face as they were put, doors that open, both halves of
// what has two, a whitelist.

import { crafting } from './crafting.mjs'
import { need } from './modules.mjs'
import { FACES, placed } from './placement.mjs'
import { propertiesOf, stateIdOf } from './states.mjs'

const { Vec3 } = need('vec3')
const makeItem = need('prismarine-item')

const SIDES = Object.keys(FACES) // in the order in which packets count them
const OPENED = /^(?!iron_).*(_door|_fence_gate|_trapdoor)$/

export function practice (server) {
  for (const item of server.registry.itemsArray) {
    if (server.registry.blocksByName[item.name] && !item.name.endsWith('sign')) {
      server.onItemPlace(item.name, (put) => putDown(server, put), false)
    }
  }
  for (const block of server.registry.blocksArray) {
    if (OPENED.test(block.name)) server.onBlockInteraction(block.name, (touched) => openOrClose(server, touched))
  }
  server.on('newPlayer', (player) => {
    player.setGameMode = (mode) => setGameMode(server, player, mode)
    const tellPosition = player.sendSelfPosition
    player.sendSelfPosition = (beginning) => { // told its beginning again at its first step, however late, it would be sent back
      if (!beginning) tellPosition()
    }
    player.on('spawned', () => player.setGameMode(player.gameMode)) // newer versions are told another one when they log in
    player._client.on('entity_action', ({ actionId }) => { // flying-squid knows these by their numbers only
      if (/_sneaking$/.test(actionId)) player.crouching = actionId === 'start_sneaking'
    })
    tellPlacesAnew(server, player._client)
    tellWhatLies(server, player)
    player._client.prependListener('block_place', (packet) => { player.clicked = packet })
    player.on('dug', ({ position, block }) => removeOtherHalf(server, player.world, position, block))
    player.on('dug_done', ({ position }, isCancelled) => { // flying-squid tells everybody else
      if (!isCancelled) player.sendBlock(position, 0)
    })
  })
  crafting(server)
}

// Since 1.21.2 another packet says where something is that moved far. flying-squid writes the old one, which cannot be
// written any more, and a connection is silent for good after the first packet of that kind.
function tellPlacesAnew (server, client) {
  if (!server.registry.protocol.play.toClient.types.packet_sync_entity_position) return
  const write = client.write.bind(client)
  const still = { dx: 0, dy: 0, dz: 0 }
  client.write = (name, params) => name === 'entity_teleport'
    ? write('sync_entity_position', { ...params, ...still, yaw: params.yaw * 360 / 256, pitch: params.pitch * 360 / 256 })
    : write(name, params)
}

// flying-squid says what a dropped item is where 1.16 has it, and nothing at all since 1.20.2.
function tellWhatLies (server, player) {
  const Item = makeItem(server.registry)
  const isNamed = server.supportFeature('mcDataHasEntityMetadata')
  const type = isNamed ? 'item_stack' : server.supportFeature('entityMetadataHasLong') ? 7 : 6
  const spawn = player.spawnEntity
  player.spawnEntity = (entity) => {
    spawn(entity)
    if (entity.itemId === undefined) return
    const value = Item.toNotch(new Item(entity.itemId, entity.itemCount))
    const metadata = [{ key: server.supportFeature('metadataIxOfItem'), type, value }]
    player._client.write('entity_metadata', { entityId: entity.id, metadata })
  }
}

function setGameMode (server, player, gameMode) {
  const named = JSON.stringify(server.registry.protocol.play.toClient.types.packet_game_state_change).includes('change_game_mode')
  player.gameMode = gameMode
  player._client.write('game_state_change', { reason: named ? 'change_game_mode' : 3, gameMode })
}

async function putDown (server, { player, item, placedPosition, referencePosition }) {
  const { direction, cursorX, cursorY, cursorZ } = player.clicked
  const click = { face: SIDES[direction], cursor: [cursorX, cursorY, cursorZ], yaw: player.yaw * 360 / 256, pitch: player.pitch * 360 / 256 }
  const becomes = placed(server.registry, item.name, click)
  const block = server.registry.blocksByName[becomes.name]
  const there = await player.world.getBlock(placedPosition)
  if (block.states?.some((state) => state.name === 'waterlogged')) becomes.properties.waterlogged = String(there.name === 'water')
  if (becomes.properties.type && await doubled(server, player, item, referencePosition, click.face)) return {}
  const other = otherHalf(becomes.properties)
  if (other) {
    const second = placedPosition.plus(other.step)
    if ((await player.world.getBlock(second)).boundingBox !== 'empty') return {}
    await server.setBlock(player.world, second, stateIdOf(server.registry, becomes.name, { ...becomes.properties, ...other.properties }))
  }
  return { id: block.id, data: stateIdOf(server.registry, becomes.name, becomes.properties) - block.minStateId }
}

// Makes a slab double if another one like it is clicked on its open side.
async function doubled (server, player, item, position, face) {
  const below = await player.world.getBlock(position)
  const type = propertiesOf(server.registry.blocks[below.type], below.stateId).type
  if (below.name !== item.name || type !== { up: 'bottom', down: 'top' }[face]) return false
  await server.setBlock(player.world, position, stateIdOf(server.registry, item.name, { type: 'double' }))
  if (player.gameMode === 0) {
    item.count--
    player.inventory.updateSlot(36 + player.heldItemSlot, item.count ? item : null)
  }
  return true
}

// Where the other half of a door, a tall plant or a bed is, and how it differs.
function otherHalf ({ half, part, facing }) {
  if (half === 'lower' || half === 'upper') {
    return { step: new Vec3(0, half === 'lower' ? 1 : -1, 0), properties: { half: half === 'lower' ? 'upper' : 'lower' } }
  }
  if (!part) return null
  const step = new Vec3(...FACES[facing])
  return { step: part === 'foot' ? step : step.scaled(-1), properties: { part: part === 'foot' ? 'head' : 'foot' } }
}

async function removeOtherHalf (server, world, position, block) {
  const other = otherHalf(propertiesOf(server.registry.blocks[block.type], block.stateId))
  if (!other) return
  const at = position.plus(other.step)
  if ((await world.getBlock(at)).name === block.name) await server.setBlock(world, at, 0)
}

async function openOrClose (server, { block, player }) {
  if (player.crouching) return false
  const properties = propertiesOf(server.registry.blocks[block.type], block.stateId)
  const open = properties.open === 'true' ? 'false' : 'true'
  await server.setBlock(player.world, block.position, stateIdOf(server.registry, block.name, { ...properties, open }))
  const other = block.name.endsWith('_door') && otherHalf(properties)
  if (other) {
    const whole = { ...properties, ...other.properties, open }
    await server.setBlock(player.world, block.position.plus(other.step), stateIdOf(server.registry, block.name, whole))
  }
  return true
}
