"""One trip in, one answer out: a log of trips, states that are carried on, and a page that shows them.

Read `trips` (from a shop to trips, inputs and labels), then `state` (the network's step and what is kept of
a customer), `log` (trips and states on a server) and `screen` (the page). `command` plays a year through it.
"""
