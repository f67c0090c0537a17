package ai

import (
	"fmt"
	"slices"
	"strings"
)

// foundation is one foundation model of Amazon Bedrock.
type foundation struct {
	id, name, provider string
	family             string // how InvokeModel talks to it
	in, out            string // modalities: "TEXT IMAGE"
	streams            bool
	onDemand           bool   // by its own id; else through inference profiles only
	geos               string // prefixes of its inference profiles: "us eu global"
	legacy             bool
}

// geography is the Regions to which inference profiles of a prefix route; nil for what is no prefix.
func geography(prefix string) []string {
	switch prefix {
	case "us":
		return []string{"us-east-1", "us-east-2", "us-west-2"}
	case "eu":
		return []string{"eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-3"}
	case "apac":
		return []string{"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2", "ap-southeast-1", "ap-southeast-2"}
	case "jp":
		return []string{"ap-northeast-1", "ap-northeast-3"}
	case "au":
		return []string{"ap-southeast-2", "ap-southeast-4"}
	case "global":
		return []string{
			"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-south-2", "ap-southeast-1", "ap-southeast-2",
			"ca-central-1", "eu-central-1", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1",
			"us-east-1", "us-east-2", "us-west-1", "us-west-2",
		}
	default:
		return nil
	}
}

// foundations is the list of models, from Bedrock's "Models at a glance" pages as of autumn 2026 and, for models that have
// been retired since, as trails still name them. Columns: id, name, provider, family, in, out, flags, profiles. Flags: s
// streams, d on demand, l legacy.
const foundations = `
anthropic.claude-opus-5|Claude Opus 5|Anthropic|anthropic|TEXT IMAGE|TEXT|s|us eu jp au global
anthropic.claude-sonnet-5|Claude Sonnet 5|Anthropic|anthropic|TEXT IMAGE|TEXT|s|us eu jp au global
anthropic.claude-opus-4-8|Claude Opus 4.8|Anthropic|anthropic|TEXT IMAGE|TEXT|s|us eu jp au global
anthropic.claude-opus-4-7|Claude Opus 4.7|Anthropic|anthropic|TEXT IMAGE|TEXT|s|us eu jp au global
anthropic.claude-opus-4-6-v1|Claude Opus 4.6|Anthropic|anthropic|TEXT IMAGE|TEXT|s|us eu au global
anthropic.claude-sonnet-4-6|Claude Sonnet 4.6|Anthropic|anthropic|TEXT IMAGE|TEXT|s|us eu jp au global
anthropic.claude-haiku-4-5-20251001-v1:0|Claude Haiku 4.5|Anthropic|anthropic|TEXT IMAGE|TEXT|s|us eu jp au global
anthropic.claude-opus-4-5-20251101-v1:0|Claude Opus 4.5|Anthropic|anthropic|TEXT IMAGE|TEXT|s|us eu global
anthropic.claude-sonnet-4-5-20250929-v1:0|Claude Sonnet 4.5|Anthropic|anthropic|TEXT IMAGE|TEXT|s|us eu jp au global
anthropic.claude-opus-4-1-20250805-v1:0|Claude Opus 4.1|Anthropic|anthropic|TEXT IMAGE|TEXT|s|us
anthropic.claude-sonnet-4-20250514-v1:0|Claude Sonnet 4|Anthropic|anthropic|TEXT IMAGE|TEXT|s|us eu apac global
anthropic.claude-3-7-sonnet-20250219-v1:0|Claude 3.7 Sonnet|Anthropic|anthropic|TEXT IMAGE|TEXT|sl|us eu apac
anthropic.claude-3-5-haiku-20241022-v1:0|Claude 3.5 Haiku|Anthropic|anthropic|TEXT|TEXT|sd|us
anthropic.claude-3-5-sonnet-20241022-v2:0|Claude 3.5 Sonnet v2|Anthropic|anthropic|TEXT IMAGE|TEXT|sdl|us apac
anthropic.claude-3-5-sonnet-20240620-v1:0|Claude 3.5 Sonnet|Anthropic|anthropic|TEXT IMAGE|TEXT|sdl|us eu apac
anthropic.claude-3-haiku-20240307-v1:0|Claude 3 Haiku|Anthropic|anthropic|TEXT IMAGE|TEXT|sd|us eu apac
anthropic.claude-3-sonnet-20240229-v1:0|Claude 3 Sonnet|Anthropic|anthropic|TEXT IMAGE|TEXT|sdl|us eu apac
anthropic.claude-3-opus-20240229-v1:0|Claude 3 Opus|Anthropic|anthropic|TEXT IMAGE|TEXT|sdl|us
amazon.nova-2-lite-v1:0|Nova 2 Lite|Amazon|nova|TEXT IMAGE|TEXT|sd|us eu jp global
amazon.nova-premier-v1:0|Nova Premier|Amazon|nova|TEXT IMAGE|TEXT|s|us
amazon.nova-pro-v1:0|Nova Pro|Amazon|nova|TEXT IMAGE|TEXT|sd|us eu apac
amazon.nova-lite-v1:0|Nova Lite|Amazon|nova|TEXT IMAGE|TEXT|sd|us eu apac
amazon.nova-micro-v1:0|Nova Micro|Amazon|nova|TEXT|TEXT|sd|us eu apac
amazon.nova-2-sonic-v1:0|Nova 2 Sonic|Amazon|sonic|SPEECH TEXT|SPEECH TEXT|sd|
amazon.nova-sonic-v1:0|Nova Sonic|Amazon|sonic|SPEECH TEXT|SPEECH TEXT|sd|
amazon.nova-canvas-v1:0|Nova Canvas|Amazon|image|TEXT IMAGE|IMAGE|d|
amazon.nova-reel-v1:1|Nova Reel|Amazon|async|TEXT IMAGE|IMAGE|d|
amazon.nova-2-multimodal-embeddings-v1:0|Amazon Nova Multimodal Embeddings|Amazon|nova-embed|TEXT IMAGE|EMBEDDING|d|
amazon.titan-text-premier-v1:0|Titan Text G1 - Premier|Amazon|titan|TEXT|TEXT|sdl|
amazon.titan-text-express-v1|Titan Text G1 - Express|Amazon|titan|TEXT|TEXT|sdl|
amazon.titan-text-lite-v1|Titan Text G1 - Lite|Amazon|titan|TEXT|TEXT|sdl|
amazon.titan-embed-text-v2:0|Titan Text Embeddings V2|Amazon|titan-embed|TEXT|EMBEDDING|d|
amazon.titan-embed-text-v1|Titan Embeddings G1 - Text|Amazon|titan-embed|TEXT|EMBEDDING|d|
amazon.titan-embed-image-v1|Titan Multimodal Embeddings G1|Amazon|titan-embed|TEXT IMAGE|EMBEDDING|d|
amazon.titan-image-generator-v2:0|Titan Image Generator G1 v2|Amazon|image|TEXT IMAGE|IMAGE|d|
meta.llama4-maverick-17b-instruct-v1:0|Llama 4 Maverick 17B Instruct|Meta|llama|TEXT IMAGE|TEXT|s|us
meta.llama4-scout-17b-instruct-v1:0|Llama 4 Scout 17B Instruct|Meta|llama|TEXT IMAGE|TEXT|s|us
meta.llama3-3-70b-instruct-v1:0|Llama 3.3 70B Instruct|Meta|llama|TEXT|TEXT|sd|us
meta.llama3-2-90b-instruct-v1:0|Llama 3.2 90B Instruct|Meta|llama|TEXT IMAGE|TEXT|s|us
meta.llama3-2-11b-instruct-v1:0|Llama 3.2 11B Instruct|Meta|llama|TEXT IMAGE|TEXT|s|us
meta.llama3-2-3b-instruct-v1:0|Llama 3.2 3B Instruct|Meta|llama|TEXT|TEXT|s|us eu
meta.llama3-2-1b-instruct-v1:0|Llama 3.2 1B Instruct|Meta|llama|TEXT|TEXT|s|us eu
meta.llama3-1-405b-instruct-v1:0|Llama 3.1 405B Instruct|Meta|llama|TEXT|TEXT|sd|us
meta.llama3-1-70b-instruct-v1:0|Llama 3.1 70B Instruct|Meta|llama|TEXT|TEXT|sd|us
meta.llama3-1-8b-instruct-v1:0|Llama 3.1 8B Instruct|Meta|llama|TEXT|TEXT|sd|us
meta.llama3-70b-instruct-v1:0|Llama 3 70B Instruct|Meta|llama|TEXT|TEXT|sd|
meta.llama3-8b-instruct-v1:0|Llama 3 8B Instruct|Meta|llama|TEXT|TEXT|sd|
mistral.pixtral-large-2502-v1:0|Pixtral Large (25.02)|Mistral AI|chat|TEXT IMAGE|TEXT|s|us eu
mistral.mistral-large-3-675b-instruct|Mistral Large 3|Mistral AI|chat|TEXT IMAGE|TEXT|sd|
mistral.mistral-large-2407-v1:0|Mistral Large (24.07)|Mistral AI|mistral|TEXT|TEXT|sd|
mistral.mistral-large-2402-v1:0|Mistral Large (24.02)|Mistral AI|mistral|TEXT|TEXT|sd|
mistral.mistral-small-2402-v1:0|Mistral Small (24.02)|Mistral AI|mistral|TEXT|TEXT|sd|
mistral.mixtral-8x7b-instruct-v0:1|Mixtral 8x7B Instruct|Mistral AI|mistral|TEXT|TEXT|sd|
mistral.mistral-7b-instruct-v0:2|Mistral 7B Instruct|Mistral AI|mistral|TEXT|TEXT|sd|
cohere.command-r-plus-v1:0|Command R+|Cohere|cohere|TEXT|TEXT|sd|
cohere.command-r-v1:0|Command R|Cohere|cohere|TEXT|TEXT|sd|
cohere.embed-v4:0|Embed v4|Cohere|cohere-embed|TEXT IMAGE|EMBEDDING|d|us eu global
cohere.embed-english-v3|Embed English|Cohere|cohere-embed|TEXT|EMBEDDING|d|
cohere.embed-multilingual-v3|Embed Multilingual|Cohere|cohere-embed|TEXT|EMBEDDING|d|
cohere.rerank-v3-5:0|Rerank 3.5|Cohere|rerank|TEXT|TEXT|d|
amazon.rerank-v1:0|Rerank 1.0|Amazon|rerank|TEXT|TEXT|d|
ai21.jamba-1-5-large-v1:0|Jamba 1.5 Large|AI21 Labs|chat|TEXT|TEXT|sd|
ai21.jamba-1-5-mini-v1:0|Jamba 1.5 Mini|AI21 Labs|chat|TEXT|TEXT|sd|
deepseek.r1-v1:0|DeepSeek-R1|DeepSeek|deepseek|TEXT|TEXT|s|us
deepseek.v3-v1:0|DeepSeek-V3.1|DeepSeek|chat|TEXT|TEXT|sd|
openai.gpt-oss-120b-1:0|gpt-oss-120b|OpenAI|chat|TEXT|TEXT|sd|
openai.gpt-oss-20b-1:0|gpt-oss-20b|OpenAI|chat|TEXT|TEXT|sd|
qwen.qwen3-235b-a22b-2507-v1:0|Qwen3 235B A22B 2507|Qwen|chat|TEXT|TEXT|sd|
qwen.qwen3-32b-v1:0|Qwen3 32B|Qwen|chat|TEXT|TEXT|sd|
qwen.qwen3-coder-30b-a3b-v1:0|Qwen3-Coder-30B-A3B-Instruct|Qwen|chat|TEXT|TEXT|sd|
writer.palmyra-x5-v1:0|Palmyra X5|Writer|chat|TEXT|TEXT|s|us
writer.palmyra-x4-v1:0|Palmyra X4|Writer|chat|TEXT|TEXT|s|us
stability.stable-image-ultra-v1:1|Stable Image Ultra 1.0|Stability AI|stability|TEXT IMAGE|IMAGE|d|
stability.sd3-5-large-v1:0|Stable Diffusion 3.5 Large|Stability AI|stability|TEXT IMAGE|IMAGE|d|
stability.stable-diffusion-xl-v1|SDXL 1.0|Stability AI|sdxl|TEXT IMAGE|IMAGE|dl|
stability.stable-diffusion-xl-v0|SDXL 0.8|Stability AI|sdxl|TEXT IMAGE|IMAGE|dl|
`

func parseFoundations() []*foundation {
	var all []*foundation
	for line := range strings.Lines(strings.TrimSpace(foundations)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		all = append(all, &foundation{
			id: f[0], name: f[1], provider: f[2], family: f[3], in: f[4], out: f[5],
			streams: strings.Contains(f[6], "s"), onDemand: strings.Contains(f[6], "d"), legacy: strings.Contains(f[6], "l"), geos: f[7],
		})
	}
	return all
}

func (b *backend) foundation(id string) *foundation {
	for _, f := range b.foundations() {
		if f.id == id {
			return f
		}
	}
	return nil
}

func (f *foundation) arn(region string) string {
	return fmt.Sprintf("arn:aws:bedrock:%s::foundation-model/%s", region, f.id)
}

func (f *foundation) embeds() bool { return f.out == "EMBEDDING" }

// chats tells whether the model takes messages and answers text.
func (f *foundation) chats() bool { return f.out == "TEXT" && f.family != "rerank" }

// target is what a modelId stands for in a Region.
type target struct {
	*foundation
	arn     string   // of what was asked for: a foundation model, an inference profile, a provisioned model
	geo     string   // "us"; "" without a cross-Region profile
	regions []string // where the profile may run it
}

// invalidModel is Bedrock's message for a modelId that stands for nothing.
const invalidModel = "The provided model identifier is invalid."

// resolve finds the model behind an id, an inference profile or an ARN of either. It returns nil when there is none.
func (b *backend) resolve(c *call, identifier string) (*target, error) {
	kind, name := "", identifier
	if rest, ok := strings.CutPrefix(identifier, "arn:aws:bedrock:"); ok {
		parts := strings.SplitN(rest, ":", 3)
		if len(parts) < 3 || parts[0] != c.Region || parts[1] != "" && parts[1] != c.Account {
			return nil, nil
		}
		kind, name, _ = strings.Cut(parts[2], "/")
	}
	switch kind {
	case "application-inference-profile", "provisioned-model":
		bucket := profiles
		if kind == "provisioned-model" {
			bucket = provisioned
		}
		r, err := b.get(c, bucket, name)
		if err != nil || r == nil {
			return nil, err
		}
		t, err := b.resolve(c, r.Parent)
		if t != nil {
			t.arn = r.ARN
		}
		return t, err
	case "", "inference-profile":
		if t := b.system(c, name); t != nil {
			return t, nil
		}
	}
	if kind == "" || kind == "foundation-model" {
		if f := b.foundation(name); f != nil {
			return &target{foundation: f, arn: f.arn(c.Region)}, nil
		}
	}
	return nil, nil
}

// system is the system-defined inference profile with the id, where it can be called from the call's Region.
func (b *backend) system(c *call, id string) *target {
	geo, base, _ := strings.Cut(id, ".")
	f := b.foundation(base)
	if f == nil || !slices.Contains(strings.Fields(f.geos), geo) || !slices.Contains(geography(geo), c.Region) {
		return nil
	}
	return &target{foundation: f, geo: geo, regions: geography(geo), arn: c.arn("inference-profile/" + id)}
}

// region is where the target runs a request: the call's Region, or one of the profile's, the same for the same request.
func (t *target) region(c *call) string {
	if len(t.regions) == 0 {
		return c.Region
	}
	return t.regions[hash(t.id, string(c.Body))%uint64(len(t.regions))]
}
