"""The place among LangChain's parts: a chat model, a policy, tools, toolkits, memory. Imports nothing by itself."""
