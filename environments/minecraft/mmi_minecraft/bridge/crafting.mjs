// Inventories that are clicked in, and crafting in the hand and at a table, which flying-squid does not do.

import { need } from './modules.mjs'

const makeWindows = need('prismarine-windows')
const makeItem = need('prismarine-item')

const RESULT = 0
const TABLE = 1 // the number of the window of a crafting table
const OWN_SLOTS = 36
const STATE = 0 // of every window: there is one, which a click must name

export function crafting (server) {
  const Item = makeItem(server.registry)
  const windows = makeWindows(server.registry)
  const recipes = Object.values(server.registry.recipes).flat()
  server.on('newPlayer', (player) => {
    const client = player._client
    client.removeAllListeners('window_click')
    player.inventory.removeAllListeners('updateSlot')
    const tell = (windowId) => (slot, before, item) => {
      if (!player.clicking) client.write('set_slot', { windowId, stateId: STATE, slot, item: Item.toNotch(item) })
    }
    player.inventory.on('updateSlot', tell(0))
    player.table = windows.createWindow(TABLE, 'minecraft:crafting', 'Crafting')
    player.table.on('updateSlot', tell(TABLE))
    client.on('window_click', (click) => {
      const window = click.windowId === TABLE ? player.table : player.inventory
      player.clicking = true
      clicked(window, click)
      if (window === player.table) share(player.table, player.inventory)
      player.clicking = false
      window.updateSlot(RESULT, result(window, recipes, Item))
      if (server.supportFeature('stateIdUsed') && click.stateId !== STATE) tellAll(player, window, click.windowId, Item)
      if (server.supportFeature('transactionPacketExists')) client.write('transaction', { windowId: click.windowId, action: click.action, accepted: true })
    })
  })
  server.onBlockInteraction('crafting_table', ({ player }) => {
    if (player.crouching) return false
    open(player, windows, Item)
    return true
  })
}

function open (player, windows, Item) {
  player.clicking = true
  player.table.slots.fill(null)
  share(player.inventory, player.table)
  player.clicking = false
  const type = windows.windows['minecraft:crafting'].type
  player._client.write('open_window', { windowId: TABLE, inventoryType: type, windowTitle: JSON.stringify({ text: 'Crafting' }) })
  tellAll(player, player.table, TABLE, Item)
}

function tellAll (player, window, windowId, Item) {
  const [carriedItem, ...items] = [window.selectedItem, ...window.slots].map((item) => Item.toNotch(item))
  player._client.write('window_items', { windowId, stateId: STATE, items, carriedItem })
}

// What a player carries is the same in both windows.
function share (from, to) {
  for (let slot = 0; slot < OWN_SLOTS; slot++) {
    const item = from.slots[from.inventoryStart + slot]
    to.updateSlot(to.inventoryStart + slot, item && Object.assign(Object.create(Object.getPrototypeOf(item)), item))
  }
}

function clicked (window, { slot, mouseButton, mode }) {
  const item = slot >= 0 ? window.slots[slot] : null
  if (slot !== RESULT) return window.acceptClick({ slot, mouseButton, mode, item })
  const held = window.selectedItem
  if (!item || (held && (held.type !== item.type || held.count + item.count > held.stackSize))) return
  if (held) held.count += item.count
  else window.selectedItem = item
  for (let place = 1; place < gridSize(window) ** 2 + 1; place++) {
    const used = window.slots[place]
    if (used) window.updateSlot(place, --used.count ? used : null)
  }
  window.slots[RESULT] = null
}

function gridSize (window) {
  return window.type === 'minecraft:crafting' ? 3 : 2
}

function result (window, recipes, Item) {
  const size = gridSize(window)
  const grid = Array.from({ length: size }, (_, row) => window.slots.slice(1 + row * size, 1 + (row + 1) * size).map((item) => item?.type ?? null))
  const laid = trimmed(grid)
  if (!laid.length) return null
  const found = recipes.find((recipe) => recipe.inShape ? sameShape(recipe.inShape, laid) : sameHeap(recipe.ingredients, laid))
  return found ? new Item(found.result.id ?? found.result, found.result.count ?? 1) : null
}

function trimmed (grid) {
  const rows = grid.map((row) => row.some(Boolean))
  const columns = grid[0].map((_, column) => grid.some((row) => row[column]))
  const within = (flags, index) => index >= flags.indexOf(true) && index <= flags.lastIndexOf(true)
  return grid.filter((_, row) => within(rows, row)).map((row) => row.filter((_, column) => within(columns, column)))
}

function sameShape (shape, laid) {
  const wanted = trimmed(shape.map((row) => Array.from({ length: Math.max(...shape.map((each) => each.length)) }, (_, x) => idOf(row[x]))))
  const mirrored = wanted.map((row) => [...row].reverse())
  return [wanted, mirrored].some((each) => JSON.stringify(each) === JSON.stringify(laid))
}

function sameHeap (ingredients, laid) {
  const order = (ids) => JSON.stringify(ids.filter(Boolean).sort((a, b) => a - b))
  return order((ingredients ?? []).map(idOf)) === order(laid.flat())
}

function idOf (ingredient) {
  const id = typeof ingredient === 'object' ? ingredient?.id : ingredient
  return id > 0 ? id : null
}
