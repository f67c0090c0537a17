package ai

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/aitrail/aitrail/internal/endpoint/ai/prose"
	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
)

// invokeBidirectional talks as Nova Sonic does: after each turn of the user's, spoken or written, and when the prompt ends, the
// model's words and what was used are told. It says nothing aloud
// (https://docs.aws.amazon.com/nova/latest/userguide/speech-bidirection.html).
func (b *backend) invokeBidirectional(c *call) (obj, error) {
	t, err := b.invoked(c, text(c.in, "modelId"))
	if err != nil {
		return nil, err
	}
	if t.family != "sonic" {
		return nil, c.invalid("The model is unsupported for bidirectional streaming.")
	}
	c.converse(func(e *smithy.EventWriter, said *smithy.EventReader) error {
		s := &sonic{model: t, out: e, contents: map[string]*sonicContent{}}
		for {
			event, err := said.Next()
			switch {
			case errors.Is(err, io.EOF):
				return s.end()
			case err != nil:
				return err
			}
			var in obj
			var part struct{ Bytes []byte } // the family's own JSON
			if json.Unmarshal(event.Payload, &part) != nil || json.Unmarshal(part.Bytes, &in) != nil {
				return c.invalid("Malformed input request, please reformat your input and try again.")
			}
			if err := s.hear(object(in, "event")); err != nil {
				return err
			}
		}
	})
	return obj{}, nil
}

// sonic is one conversation.
type sonic struct {
	model      *target
	out        *smithy.EventWriter
	session    string
	prompt     string // the prompt's name
	completion string // the running answer's id
	contents   map[string]*sonicContent
	said       []string // what the user has said since the last answer
	in, spoken int      // tokens
}

type sonicContent struct {
	role, kind string
	audio      int // bytes
}

// hear takes one of the client's events.
func (s *sonic) hear(event obj) error {
	for name, v := range event {
		switch name {
		case "sessionStart":
			s.session = uuid("session", s.model.id, jsonText(v))
		case "promptStart":
			s.prompt = text(v, "promptName")
			s.completion = uuid("completion", s.session, s.prompt)
			return s.tell("completionStart", obj{})
		case "contentStart":
			s.contents[text(v, "contentName")] = &sonicContent{role: text(v, "role"), kind: text(v, "type")}
		case "textInput":
			s.in += prose.Tokens(text(v, "content"))
			if content := s.contents[text(v, "contentName")]; content != nil && content.role == "USER" {
				s.said = append(s.said, text(v, "content"))
			}
		case "audioInput":
			if content := s.contents[text(v, "contentName")]; content != nil {
				content.audio += len(text(v, "content")) * 3 / 4
			}
		case "contentEnd":
			return s.turn(s.contents[text(v, "contentName")])
		case "promptEnd":
			return s.end()
		}
	}
	return nil
}

// audioSecond is a second of the audio that the model takes: 16 kHz, 16 bit.
const audioSecond = 32000

// turn answers what the user has said, when that ends.
func (s *sonic) turn(content *sonicContent) error {
	switch {
	case content == nil || content.role != "USER":
		return nil
	case content.kind == "AUDIO":
		s.in += 25 * content.audio / audioSecond
		s.said = append(s.said, heard([]byte(strconv.Itoa(content.audio))))
	}
	return s.answer()
}

func (s *sonic) answer() error {
	if len(s.said) == 0 {
		return nil
	}
	r := s.model.think(one(strings.Join(s.said, "\n")))
	s.said, s.spoken = nil, s.spoken+r.out
	content := obj{"contentId": uuid("content", s.completion, r.text)}
	for _, event := range []struct {
		name string
		more obj
	}{
		{"contentStart", obj{"type": "TEXT", "role": "ASSISTANT", "textOutputConfiguration": obj{"mediaType": "text/plain"}, "additionalModelFields": `{"generationStage":"FINAL"}`}},
		{"textOutput", obj{"content": r.text, "role": "ASSISTANT"}},
		{"contentEnd", obj{"type": "TEXT", "stopReason": "END_TURN"}},
	} {
		if err := s.tell(event.name, with(content, event.more)); err != nil {
			return err
		}
	}
	return s.tell("usageEvent", obj{
		"totalInputTokens": s.in, "totalOutputTokens": s.spoken, "totalTokens": s.in + s.spoken,
	})
}

// end answers what is left and ends the completion.
func (s *sonic) end() error {
	if s.completion == "" {
		return nil
	}
	if err := s.answer(); err != nil {
		return err
	}
	err := s.tell("completionEnd", obj{"stopReason": "END_TURN"})
	s.completion = ""
	return err
}

// tell sends an event of the family's.
func (s *sonic) tell(name string, v obj) error {
	body, err := json.Marshal(obj{"event": obj{name: with(v, obj{"sessionId": s.session, "promptName": s.prompt, "completionId": s.completion})}})
	if err != nil {
		return err
	}
	return s.out.Send("chunk", obj{"bytes": body})
}

// streamTranscription listens to audio and tells what it takes it for: a partial result when it has begun, and the final one
// when it has ended. What is said isn't understood: the words are the same for the same audio.
func (b *backend) streamTranscription(c *call) (obj, error) {
	if text(c.in, "LanguageCode") == "" && !truth(c.in, "IdentifyLanguage") && !truth(c.in, "IdentifyMultipleLanguages") {
		return nil, c.invalid("Either LanguageCode, IdentifyLanguage or IdentifyMultipleLanguages must be specified.")
	}
	rate := max(whole(c.in, 16000, "MediaSampleRateHertz"), 1)
	id := text(c.in, "SessionId")
	if id == "" {
		id = uuid("session", c.ID)
	}
	c.converse(func(e *smithy.EventWriter, said *smithy.EventReader) error {
		size, words := 0, ""
		for {
			event, err := said.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			if event.Name != "AudioEvent" {
				continue
			}
			began := size == 0
			size += len(event.Payload)
			if began && size > 0 {
				words = heard(event.Payload)
				if err := e.Send("TranscriptEvent", transcript(id, words, size, rate, true)); err != nil {
					return err
				}
			}
		}
		if size == 0 {
			return e.Send("TranscriptEvent", obj{"Transcript": obj{"Results": []any{}}})
		}
		return e.Send("TranscriptEvent", transcript(id, words, size, rate, false))
	})
	language := text(c.in, "LanguageCode")
	return with(keep(c.in, "LanguageCode", "MediaSampleRateHertz", "MediaEncoding", "VocabularyName", "VocabularyFilterName", "VocabularyFilterMethod",
		"ShowSpeakerLabel", "EnableChannelIdentification", "NumberOfChannels", "IdentifyLanguage", "LanguageOptions", "PreferredLanguage"),
		obj{"SessionId": id, "RequestId": c.ID, "LanguageCode": language}), nil
}

// heard is what audio is taken for.
func heard(audio []byte) string {
	sentences := []string{"Thank you for calling.", "How can I help you today?", "Let me look that up for you.", "Could you say that again, please?"}
	return sentences[hash(string(audio))%uint64(len(sentences))]
}

// transcript is a result over so many bytes of audio of 16 bits.
func transcript(session, words string, size, rate int, partial bool) obj {
	end := float64(size) / float64(2*rate)
	items := []any{}
	parts := strings.Fields(words)
	for i, w := range parts {
		items = append(items, obj{
			"Content": w, "Type": "pronunciation", "StartTime": end * float64(i) / float64(len(parts)), "EndTime": end * float64(i+1) / float64(len(parts)),
		})
	}
	return obj{"Transcript": obj{"Results": []any{obj{
		"ResultId": uuid("result", session), "StartTime": 0.0, "EndTime": end, "IsPartial": partial,
		"Alternatives": []any{obj{"Transcript": words, "Items": items}},
	}}}}
}
