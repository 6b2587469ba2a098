"""What a model trains on: samples, their readers, and rows of tokens made of them."""
