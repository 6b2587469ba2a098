"""The loop that puts a policy in charge of an environment, and the trajectory that it leaves."""
