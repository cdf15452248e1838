"""Where is my event?: looked for in the topics, told as a story."""
