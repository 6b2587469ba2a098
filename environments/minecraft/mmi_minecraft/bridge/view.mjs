// Shows what the bot sees on a page of its own, by prismarine-viewer, on this machine only.

import { createServer } from 'node:http'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { Misuse, within } from './lines.mjs'
import { need } from './modules.mjs'

const express = need('express')
const { Server } = need('socket.io')
const { WorldView } = need('prismarine-viewer').viewer
const { getVersion } = need('prismarine-viewer/viewer/lib/version')

const PAGE = join(dirname(need.resolve('prismarine-viewer')), 'public')
const FLUSH_S = 20

export class View {
  constructor (bot, distance) {
    if (!getVersion(bot.version)) throw new Misuse(`there are no pictures of version ${bot.version}`)
    this.bot = bot
    this.distance = distance
    this.sockets = new Set()
    const app = express()
    app.use(express.static(PAGE))
    this.http = createServer(app)
    this.io = new Server(this.http)
    this.io.on('connection', (socket) => this.show(socket))
  }

  async listen (port) {
    this.http.listen(port, '127.0.0.1')
    await Promise.race([once(this.http, 'listening'), once(this.http, 'error').then(([error]) => {
      throw new Misuse(`the viewer cannot listen on port ${port}: ${error.code}`)
    })])
    return this.http.address().port
  }

  close () {
    this.io.close() // and what it listens with
  }

  show (socket) {
    const { bot } = this
    this.sockets.add(socket)
    socket.emit('version', bot.version)
    const world = new WorldView(bot.world, this.distance, bot.entity.position, socket)
    socket.filled = world.init(bot.entity.position)
    const move = () => {
      this.tellPosition(socket)
      world.updatePosition(bot.entity.position)
    }
    bot.on('move', move)
    world.listenToBot(bot)
    move()
    socket.on('disconnect', () => {
      this.sockets.delete(socket)
      bot.removeListener('move', move)
      world.removeListenersFromBot(bot)
    })
  }

  tellPosition (socket) {
    const { position, yaw, pitch } = this.bot.entity
    socket.emit('position', { pos: position, yaw, pitch, addMesh: false })
  }

  // Waits until each page has everything that was sent to it: it answers a heartbeat after what came before.
  async flush () {
    if (!this.sockets.size) return
    await within(FLUSH_S, Promise.all([...this.sockets].map(async (socket) => {
      await socket.filled
      this.tellPosition(socket)
      const beat = once(socket.conn, 'heartbeat')
      socket.conn.sendPacket('ping')
      await beat
    })), new Error('the page of the viewer does not answer'))
  }
}
