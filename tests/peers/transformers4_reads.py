"""What transformers 4 makes of a model's folder: FOLDER ANSWER.json."""

import json
import sys
from pathlib import Path

import transformers

folder, answer = map(Path, sys.argv[1:])
model = transformers.AutoModelForCausalLM.from_pretrained(folder)
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
turns = [{"role": "user", "content": "What is 2 + 2?"}]
told = {
    "version": transformers.__version__,
    "rope_theta": model.config.rope_theta,
    "slowest": 1 / float(model.model.rotary_emb.inv_freq[-1]),
    "context": model.config.max_position_embeddings,
    "ids": tokenizer.apply_chat_template(turns, add_generation_prompt=True),
    "limit": tokenizer.model_max_length,
    "eos": tokenizer.eos_token,
}
answer.write_text(json.dumps(told))
