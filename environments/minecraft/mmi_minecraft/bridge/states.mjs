// Block states as text, `oak_stairs[facing=north,half=bottom,...]` with every property in order of the alphabet, and
// as the numbers of a version. Numbers count through the last property first.

import { Misuse } from './lines.mjs'

const texts = new Map()

export function describe (registry, stateId) {
  if (!texts.has(stateId)) texts.set(stateId, describeAnew(registry, stateId))
  return texts.get(stateId)
}

function describeAnew (registry, stateId) {
  const block = registry.blocksByStateId[stateId]
  if (!block) return 'air'
  const properties = Object.entries(propertiesOf(block, stateId)).sort(([a], [b]) => (a < b ? -1 : 1))
  return properties.length ? `${block.name}[${properties.map(([key, value]) => `${key}=${value}`).join(',')}]` : block.name
}

export function propertiesOf (block, stateId) {
  let rest = stateId - block.minStateId
  const properties = {}
  for (const state of [...(block.states ?? [])].reverse()) {
    properties[state.name] = values(state)[rest % state.num_values]
    rest = Math.floor(rest / state.num_values)
  }
  return properties
}

// The number of a block whose other properties have their defaults.
export function stateIdOf (registry, name, properties = {}) {
  const block = registry.blocksByName[name]
  if (!block) throw new Misuse(`this version has no block ${name}`)
  const chosen = { ...propertiesOf(block, block.defaultState), ...properties }
  return block.minStateId + (block.states ?? []).reduce((number, state) => {
    const place = values(state).indexOf(chosen[state.name])
    if (place < 0) throw new Misuse(`${name} cannot have ${state.name}=${chosen[state.name]}`)
    return number * state.num_values + place
  }, 0)
}

// `oak_stairs[facing=north]` as a name and its properties.
export function parse (text) {
  const [, name, inner] = /^(?:minecraft:)?([a-z0-9_]+)(?:\[(.*)\])?$/.exec(text) ?? []
  if (!name) throw new Misuse(`not a block: ${text}`)
  return { name, properties: Object.fromEntries((inner || '').split(',').filter(Boolean).map((pair) => pair.split('='))) }
}

// The blocks of a box, layer by layer from the bottom, row by row from the north, from the west.
export function readBox (registry, low, high, stateAt) {
  const palette = []
  const places = new Map()
  const cells = []
  for (let y = low[1]; y <= high[1]; y++) {
    for (let z = low[2]; z <= high[2]; z++) {
      for (let x = low[0]; x <= high[0]; x++) {
        const text = describe(registry, stateAt(x, y, z))
        if (!places.has(text)) places.set(text, palette.push(text) - 1)
        cells.push(places.get(text))
      }
    }
  }
  return { palette, cells }
}

function values (state) {
  if (state.values) return state.values
  return state.type === 'bool' ? ['true', 'false'] : Array.from({ length: state.num_values }, (_, value) => String(value))
}
