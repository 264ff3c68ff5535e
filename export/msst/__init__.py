"""The files in which MSST's models are published, whatever their network: a configuration and a checkpoint.

MSST is the Music Source Separation Training repository, package `msst`. Reading order: arguments, request
(the command line), config, checkpoint, state (the weights by name), model (a network of either family).
"""
