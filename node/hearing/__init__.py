"""What a microphone or a current clamp hears of what the node plays: heard, not heard, or unknown.

```
 render ─► Monitor (what left, and the tone) ─┐
 capture ─► Ear (what came back) ─────────────┴─► LoopVerdict, each second that something sounds
```
"""
