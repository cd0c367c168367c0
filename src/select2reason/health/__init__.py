"""HEALTH: what makes a trace unfit to train on, told from its text and tokens alone (METHOD 8, 9.12).

Loops (`loops`), a passage in another language (`language`), and how an example ends and is tagged (`endings`). All of
it in columns; which rows are dropped for it is decided later.
"""
