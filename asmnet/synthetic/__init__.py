"""Renders labelled faces of people who do not exist: ``asmnet-train synthesize``.

A tool for making training data, on MakeHuman's head (CC0) and with Blender's Cycles (GPL) as a
Python module; nothing of inference imports it, and it imports no torch.
"""
