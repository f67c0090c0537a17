package ai

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aitrail/aitrail/internal/endpoint/ai/smithy"
)

// polly is Amazon Polly's operations.
func (b *backend) polly() map[string]*rule {
	return map[string]*rule{
		"SynthesizeSpeech":           {serve: b.synthesizeSpeech, redact: map[string]string{"text": "**********"}, noReply: true},
		"StartSpeechSynthesisStream": {serve: b.streamSpeech},
		"DescribeVoices":             {serve: b.describeVoices},
		"PutLexicon":                 {serve: b.putLexicon, params: []string{"Name"}, resource: "lexicon/{Name}"},
		"GetLexicon":                 {serve: b.getLexicon, resource: "lexicon/{Name}"},
		"ListLexicons":               {serve: b.listLexicons},
		"DeleteLexicon":              {serve: b.deleteLexicon, resource: "lexicon/{Name}"},
	}
}

// voices are Polly's: name, gender, language, engines (s standard, n neural, l long-form, g generative).
const voices = `Joanna|Female|en-US|sng Matthew|Male|en-US|sng Kendra|Female|en-US|sn Kimberly|Female|en-US|sn Salli|Female|en-US|sng Ivy|Female|en-US|sn
Joey|Male|en-US|sn Justin|Male|en-US|sn Kevin|Male|en-US|n Ruth|Female|en-US|nlg Stephen|Male|en-US|ng Danielle|Female|en-US|nlg Gregory|Male|en-US|nl
Amy|Female|en-GB|sng Emma|Female|en-GB|sn Brian|Male|en-GB|sn Arthur|Male|en-GB|n Nicole|Female|en-AU|s Russell|Male|en-AU|s Olivia|Female|en-AU|ng
Aditi|Female|en-IN|s Kajal|Female|en-IN|ng Raveena|Female|en-IN|s Ayanda|Female|en-ZA|ng Niamh|Female|en-IE|n Aria|Female|en-NZ|n
Conchita|Female|es-ES|s Lucia|Female|es-ES|sng Enrique|Male|es-ES|s Sergio|Male|es-ES|n Mia|Female|es-MX|sng Andres|Male|es-MX|n
Lupe|Female|es-US|sng Penelope|Female|es-US|s Miguel|Male|es-US|s Pedro|Male|es-US|ng Celine|Female|fr-FR|s Lea|Female|fr-FR|sng Mathieu|Male|fr-FR|s Remi|Male|fr-FR|n
Chantal|Female|fr-CA|s Gabrielle|Female|fr-CA|n Liam|Male|fr-CA|n Marlene|Female|de-DE|s Vicki|Female|de-DE|sng Hans|Male|de-DE|s Daniel|Male|de-DE|ng Hannah|Female|de-AT|n
Carla|Female|it-IT|s Bianca|Female|it-IT|sng Giorgio|Male|it-IT|s Adriano|Male|it-IT|n Camila|Female|pt-BR|sn Vitoria|Female|pt-BR|sn Ricardo|Male|pt-BR|s Thiago|Male|pt-BR|n
Ines|Female|pt-PT|sn Cristiano|Male|pt-PT|s Lotte|Female|nl-NL|s Laura|Female|nl-NL|n Ruben|Male|nl-NL|s Mizuki|Female|ja-JP|s Takumi|Male|ja-JP|sn Kazuha|Female|ja-JP|n Tomoko|Female|ja-JP|n
Seoyeon|Female|ko-KR|sng Zhiyu|Female|cmn-CN|sn Hiujin|Female|yue-CN|n Zeina|Female|arb|s Hala|Female|ar-AE|n Zayd|Male|ar-AE|n Naja|Female|da-DK|s Mads|Male|da-DK|s Sofie|Female|da-DK|n
Suvi|Female|fi-FI|n Liv|Female|nb-NO|s Ida|Female|nb-NO|n Astrid|Female|sv-SE|s Elin|Female|sv-SE|n Ewa|Female|pl-PL|s Maja|Female|pl-PL|s Jan|Male|pl-PL|s Jacek|Male|pl-PL|s Ola|Female|pl-PL|n
Carmen|Female|ro-RO|s Tatyana|Female|ru-RU|s Maxim|Male|ru-RU|s Filiz|Female|tr-TR|s Burcu|Female|tr-TR|n Gwyneth|Female|cy-GB|s Dora|Female|is-IS|s Karl|Male|is-IS|s Arlet|Female|ca-ES|n`

const languageNames = `en-US|US English en-GB|British English en-AU|Australian English en-IN|Indian English en-ZA|South African English en-IE|Irish English en-NZ|New Zealand English es-ES|Castilian Spanish es-MX|Mexican Spanish es-US|US Spanish fr-FR|French fr-CA|Canadian French de-DE|German de-AT|German (Austrian) it-IT|Italian pt-BR|Brazilian Portuguese pt-PT|Portuguese nl-NL|Dutch ja-JP|Japanese ko-KR|Korean cmn-CN|Chinese Mandarin yue-CN|Cantonese arb|Arabic ar-AE|Gulf Arabic da-DK|Danish fi-FI|Finnish nb-NO|Norwegian sv-SE|Swedish pl-PL|Polish ro-RO|Romanian ru-RU|Russian tr-TR|Turkish cy-GB|Welsh is-IS|Icelandic ca-ES|Catalan`

func voice(entry string) obj {
	f := strings.Split(entry, "|")
	engines := []string{}
	for i, name := range []string{"standard", "neural", "long-form", "generative"} {
		if strings.IndexByte(f[3], "snlg"[i]) >= 0 {
			engines = append(engines, name)
		}
	}
	_, name, _ := strings.Cut(" "+languageNames, " "+f[2]+"|")
	if i := strings.IndexByte(name, '|'); i >= 0 {
		name = name[:strings.LastIndexByte(name[:i], ' ')]
	}
	return obj{"Id": f[0], "Name": f[0], "Gender": f[1], "LanguageCode": f[2], "LanguageName": name, "SupportedEngines": engines}
}

func (b *backend) describeVoices(c *call) (obj, error) {
	list := []any{}
	for _, entry := range strings.Fields(voices) {
		v := voice(entry)
		language, engine := text(c.in, "LanguageCode"), text(c.in, "Engine")
		if language != "" && language != v["LanguageCode"] || engine != "" && !slices.Contains(v["SupportedEngines"].([]string), engine) {
			continue
		}
		list = append(list, v)
	}
	return obj{"Voices": list}, nil
}

var ssmlTag = regexp.MustCompile(`<[^>]*>`)

// largestSpeech is how many characters are billed in one call at most.
const largestSpeech = 3000

// speech is a checked SynthesizeSpeech request.
type speech struct {
	words      string
	format     string
	sampleRate int
}

func (b *backend) speech(c *call) (speech, error) {
	s := speech{words: text(c.in, "Text"), format: text(c.in, "OutputFormat")}
	if text(c.in, "TextType") == "ssml" {
		if !strings.HasPrefix(strings.TrimSpace(s.words), "<speak") || !strings.HasSuffix(strings.TrimSpace(s.words), "</speak>") {
			return s, fail("InvalidSsmlException", 400, "Invalid SSML request")
		}
		s.words = ssmlTag.ReplaceAllString(s.words, "")
	}
	if utf8.RuneCountInString(s.words) > largestSpeech {
		return s, fail("TextLengthExceededException", 400, "Maximum text length has been exceeded")
	}
	engine := text(c.in, "Engine")
	if engine == "" {
		engine = "standard"
	}
	for _, entry := range strings.Fields(voices) {
		if v := voice(entry); v["Id"] == text(c.in, "VoiceId") && !slices.Contains(v["SupportedEngines"].([]string), engine) {
			return s, fail("EngineNotSupportedException", 400, "This voice does not support the selected engine: %s", engine)
		}
	}
	for _, name := range texts(c.in, "LexiconNames") {
		if _, err := b.lexicon(c, name); err != nil {
			return s, err
		}
	}
	marks := texts(c.in, "SpeechMarkTypes")
	if (s.format == "json") != (len(marks) > 0) {
		return s, fail("MarksNotSupportedForFormatException", 400, "Speech marks are not supported for the selected output format")
	}
	s.sampleRate = map[string]int{"pcm": 16000, "mulaw": 8000}[s.format]
	if s.sampleRate == 0 {
		s.sampleRate = 22050
		if engine != "standard" {
			s.sampleRate = 24000
		}
	}
	if rate := text(c.in, "SampleRate"); rate != "" {
		n, err := strconv.Atoi(rate)
		if allowed := []int{8000, 16000, 22050, 24000}; err != nil || !slices.Contains(allowed, n) || s.format == "pcm" && n > 16000 {
			return s, fail("InvalidSampleRateException", 400, "Invalid sample rate: %s", rate)
		}
		s.sampleRate = n
	}
	return s, nil
}

// milliseconds is how long a text is spoken.
func milliseconds(words string) int { return 120 + 62*utf8.RuneCountInString(words) }

func (b *backend) synthesizeSpeech(c *call) (obj, error) {
	s, err := b.speech(c)
	if err != nil {
		return nil, err
	}
	types := map[string]string{
		"mp3": "audio/mpeg", "pcm": "audio/pcm", "ogg_vorbis": "audio/ogg", "ogg_opus": "audio/ogg", "mulaw": "audio/mulaw", "json": "application/x-json-stream",
	}
	audio := s.audio()
	if s.format == "json" {
		audio = marks(s.words, texts(c.in, "SpeechMarkTypes"))
	}
	return obj{"AudioStream": audio, "ContentType": types[s.format], "RequestCharacters": utf8.RuneCountInString(s.words)}, nil
}

// audio is silence for as long as the words take.
func (s *speech) audio() []byte {
	samples := s.sampleRate * milliseconds(s.words) / 1000
	switch s.format {
	case "pcm":
		return make([]byte, 2*samples)
	case "mulaw":
		return bytes.Repeat([]byte{0xff}, samples)
	case "mp3":
		return silentMP3(s.sampleRate, samples)
	default:
		return emptyOgg(s.format, s.sampleRate, samples)
	}
}

// streamSpeech speaks each text when it comes, and tells how many characters there were when the stream is closed.
func (b *backend) streamSpeech(c *call) (obj, error) {
	s, err := b.speech(c)
	if err != nil {
		return nil, err
	}
	c.converse(func(e *smithy.EventWriter, said *smithy.EventReader) error {
		characters := 0
		for {
			event, err := said.Next()
			if errors.Is(err, io.EOF) || err == nil && event.Name == "CloseStreamEvent" {
				break
			}
			if err != nil {
				return err
			}
			var in struct{ Text, TextType string }
			if json.Unmarshal(event.Payload, &in) != nil || in.Text == "" {
				return c.invalid("Malformed input event.")
			}
			s.words = in.Text
			if in.TextType == "ssml" {
				s.words = ssmlTag.ReplaceAllString(in.Text, "")
			}
			if characters += utf8.RuneCountInString(s.words); characters > largestSpeech {
				return fail("ServiceQuotaExceededException", 402, "Maximum text length has been exceeded")
			}
			if err := e.Send("AudioEvent", obj{"AudioChunk": s.audio()}); err != nil {
				return err
			}
		}
		if err := e.Send("StreamClosedEvent", obj{"RequestCharacters": characters}); err != nil {
			return err
		}
		return said.Drain()
	})
	return obj{}, nil
}

// marks is the speech marks, one JSON object a line.
func marks(words string, types []string) []byte {
	var out bytes.Buffer
	at := 0
	if slices.Contains(types, "sentence") {
		out.WriteString(jsonText(obj{"time": 0, "type": "sentence", "start": 0, "end": len(words), "value": words}) + "\n")
	}
	for _, w := range strings.Fields(words) {
		start := at + strings.Index(words[at:], w)
		at = start + len(w)
		if slices.Contains(types, "word") {
			out.WriteString(jsonText(obj{"time": milliseconds(words[:start]), "type": "word", "start": start, "end": at, "value": w}) + "\n")
		}
	}
	return out.Bytes()
}

// silentMP3 is MPEG-2 layer III frames (MPEG-2.5 at 8 kHz) of nothing, 48 kbit/s, mono.
func silentMP3(rate, samples int) []byte {
	version, index := byte(0xf3), map[int]byte{22050: 0, 24000: 1, 16000: 2}[rate]
	if rate == 8000 {
		version, index = 0xe3, 2
	}
	frame := make([]byte, 72*48000/rate)
	copy(frame, []byte{0xff, version, 0x60 | index<<2, 0xc4})
	return bytes.Repeat(frame, samples/576+1)
}

// emptyOgg is an Ogg stream with the codec's head and an end page that says how long it is: no packet of sound.
func emptyOgg(format string, rate, samples int) []byte {
	var head bytes.Buffer
	le := binary.LittleEndian
	if format == "ogg_opus" {
		head.WriteString("OpusHead\x01\x01\x00\x00")
		head.Write(le.AppendUint32(nil, uint32(rate)))
		head.Write([]byte{0, 0, 0})
	} else {
		head.WriteString("\x01vorbis\x00\x00\x00\x00\x01")
		head.Write(le.AppendUint32(nil, uint32(rate)))
		head.Write(make([]byte, 12))
		head.Write([]byte{0xb8, 1})
	}
	return append(oggPage(2, 0, 0, head.Bytes()), oggPage(4, uint64(samples), 1, nil)...)
}

func oggPage(flags byte, position uint64, sequence uint32, packet []byte) []byte {
	le := binary.LittleEndian
	page := append([]byte("OggS\x00"), flags)
	page = le.AppendUint64(page, position)
	page = le.AppendUint32(page, 1)
	page = le.AppendUint32(page, sequence)
	page = append(page, 0, 0, 0, 0, 1, byte(len(packet)))
	page = append(page, packet...)
	le.PutUint32(page[22:], oggChecksum(page))
	return page
}

// oggChecksum is Ogg's CRC-32: the usual polynomial, its bits the other way round, nothing inverted.
func oggChecksum(page []byte) uint32 {
	var crc uint32
	for _, b := range page {
		crc ^= uint32(b) << 24
		for range 8 {
			carry := crc&(1<<31) != 0
			crc <<= 1
			if carry {
				crc ^= 0x04c11db7
			}
		}
	}
	return crc
}
