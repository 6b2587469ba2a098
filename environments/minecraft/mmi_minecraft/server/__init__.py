"""Minecraft as it is played: a player on any server, and a server to practise on."""

from mmi_minecraft.server.bridge import Bridge, BridgeEvent, Refused
from mmi_minecraft.server.player import Player, PlayerState
from mmi_minecraft.server.practice import FLAT, PracticeServer

__all__ = ["FLAT", "Bridge", "BridgeEvent", "Player", "PlayerState", "PracticeServer", "Refused"]
