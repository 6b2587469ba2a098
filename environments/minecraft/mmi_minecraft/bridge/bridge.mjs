// A player in a game of Minecraft, led by lines of JSON.
//
//     node bridge.mjs FOLDER      FOLDER has the packages of package-lock.json in its node_modules
//
// A line in:   {"id": 1, "method": "place", "params": {"position": [1, 5, 2], "block": "torch", "item": "torch"}}
// A line out:  {"id": 1, "result": "torch"}
//         or   {"id": 1, "error": {"kind": "refused", "message": "nothing to place against at 1 5 2: ..."}}
//         or   {"event": "chat", "data": {"from": "Steve", "text": "hello"}}, at any time
//
// Requests are answered one after the other. Kinds of errors: refused (the world says no, something else may be
// tried), config (what was given is wrong), lost (the game is gone), fault (a mistake in here or in a package).
//
//     join      host port username version? limit_s   {version, username}; every other method needs it first
//     state                                             position, yaw, pitch, inventory, entities, ... (senses.mjs)
//     sight     aspect columns rows range               [{position, state, box, distance, rays}], nearest first
//     read      low high                                {palette, cells} of a box, cells from the bottom, the north, the west
//     look      position
//     walk      position within_blocks limit_s        on foot; 0 blocks: into that very cell
//     fly       position over limit_s                 creative mode; over: the height at which it flies there
//     pillar    block item                              jumps and puts a block under its feet
//     place     position block item                     the state that it has then
//     dig       position                                {dug, seconds}
//     craft     item count                              {made}
//     equip     item destination                        hand, off-hand, head, torso, legs or feet
//     chat      text
//     wait      seconds
//     view      port distance                           {port} of the page that shows what the player sees; 0: any
//     flush                                             waits until the page has all that it was sent
//
// Events: chat {from, text}, died {}, gone {why}.

import { Lost, Misuse, serve, tell } from './lines.mjs'
import { fly, pillar, walk } from './feet.mjs'
import { chat, craft, dig, equip, look, place, wait } from './hands.mjs'
import { join } from './join.mjs'
import { read, sight, state } from './senses.mjs'
import { View } from './view.mjs'

let bot = null
let view = null

function inGame (method) {
  return async (params) => {
    if (!bot) throw new Misuse('join comes first')
    if (bot.gone) throw new Lost(`${bot.username} is no longer in the game: ${bot.gone}`)
    return await method(bot, params)
  }
}

async function enter (params) {
  if (bot && !bot.gone) throw new Misuse('this player is in a game already')
  view?.close()
  view = null
  bot = await join(params)
  bot.on('chat', (from, text) => { if (from !== bot.username) tell('chat', { from, text: text.slice(0, 500) }) })
  bot.on('death', () => tell('died', {}))
  bot.on('end', () => tell('gone', { why: bot.gone }))
  return { version: bot.version, username: bot.username }
}

async function show (player, { port, distance }) {
  view ??= new View(player, distance)
  return { port: view.http.listening ? view.http.address().port : await view.listen(port) }
}

const deeds = { state, sight, read, look, walk, fly, pillar, place, dig, craft, equip, chat, wait, view: show, flush: () => view?.flush() }
serve({ join: enter, ...Object.fromEntries(Object.entries(deeds).map(([name, method]) => [name, inGame(method)])) })
